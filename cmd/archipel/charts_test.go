package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"archipel/internal/chart/charttest"

	"github.com/rogpeppe/go-internal/testscript"
)

// chartCommands returns the commands of scripts that need charts:
//
//	charts                      starts a server of charts and artefacts: its host is $CHARTS,
//	                            and the program trusts it
//	chart NAME VERSION          adds a chart to its Helm repository https://$CHARTS/charts
//	artefact REPO TAG FILE...   adds the files as an artefact oci://$CHARTS/REPO:TAG
//	charts stop                 stops it
func chartCommands(t *testing.T) map[string]func(*testscript.TestScript, bool, []string) {
	var servers sync.Map // by the host in $CHARTS: scripts run at the same time
	server := func(ts *testscript.TestScript) *charttest.Server {
		s, ok := servers.Load(ts.Getenv("CHARTS"))
		if !ok {
			ts.Fatalf("there is no server of charts")
		}
		return s.(*charttest.Server)
	}
	return map[string]func(*testscript.TestScript, bool, []string){
		"charts": func(ts *testscript.TestScript, _ bool, args []string) {
			if len(args) == 1 && args[0] == "stop" {
				server(ts).Close()
				return
			}
			s := charttest.Start(t)
			certificates := filepath.Join(ts.Getenv("WORK"), "charts.pem")
			ts.Check(os.WriteFile(certificates, s.Certificates(), 0o600))
			ts.Setenv("SSL_CERT_FILE", certificates)
			ts.Setenv("CHARTS", s.Host())
			servers.Store(s.Host(), s)
		},
		"chart": func(ts *testscript.TestScript, _ bool, args []string) {
			if len(args) != 2 {
				ts.Fatalf("usage: chart NAME VERSION")
			}
			server(ts).Chart(args[0], args[1], charttest.Chart(args[0], args[1]))
		},
		"artefact": func(ts *testscript.TestScript, _ bool, args []string) {
			if len(args) < 3 {
				ts.Fatalf("usage: artefact REPO TAG FILE...")
			}
			files := map[string]string{}
			for _, file := range args[2:] {
				files[filepath.Base(file)] = ts.ReadFile(file)
			}
			server(ts).Push(args[0], args[1], charttest.FluxLayer, charttest.Archive(files))
		},
	}
}
