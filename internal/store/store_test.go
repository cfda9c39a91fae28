package store

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	tabletypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// moto starts a stand-in for S3 and DynamoDB on loopback, and returns its URL.
func moto(t *testing.T) string {
	t.Helper()
	program := os.Getenv("ARCHIPEL_MOTO")
	if program == "" {
		t.Skip("skipped, because ARCHIPEL_MOTO does not name moto_server: make moto installs it")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	command := exec.Command(program, "-H", "127.0.0.1", "-p", port)
	command.Env = []string{"PATH=" + os.Getenv("PATH")} // an AWS_PROFILE that is empty makes it fail
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	url := "http://127.0.0.1:" + port
	for range 200 {
		if answer, err := http.Get(url + "/moto-api/data.json"); err == nil {
			answer.Body.Close()
			return url
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("moto_server does not answer")
	return ""
}

func credentials(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "archipel", "AWS_SECRET_ACCESS_KEY": "archipel", "AWS_PROFILE": "", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
}

func open(t *testing.T, c Config) *Store {
	t.Helper()
	c.Bucket, c.Region, c.PathStyle = "archipel-state", "eu-west-1", true
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	credentials(t)
	url := moto(t)
	ctx := t.Context()
	s := open(t, Config{Endpoint: url, TableEndpoint: url, Table: "archipel-locks"})
	if err := s.Ready(ctx); ReasonOf(err) != NoBucket {
		t.Fatalf("before it is made: %v", err)
	}
	for _, changed := range []bool{true, false} {
		var steps []string
		if err := s.Init(ctx, func(step Step) {
			steps = append(steps, fmt.Sprintf("%s %t%s", step.What, step.Changed, step.Missing))
		}); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("bucket archipel-state %[1]t, versions are kept %[1]t, encrypted %[1]t, private %[1]t, table archipel-locks %[1]t", changed)
		if got := strings.Join(steps, ", "); got != want {
			t.Errorf("steps %s\nwant  %s", got, want)
		}
	}
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if reason, err := s.Honours(ctx, ".archipel/probe"); reason != "" || err != nil {
		t.Errorf("conditional writes: %q, %v", reason, err)
	}
	for name, ask := range map[string]func(context.Context) (bool, error){"versioned": s.Versioned, "encrypted": s.Encrypted, "private": s.Private} {
		if ok, err := ask(ctx); !ok || err != nil {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
	}
}

func TestStates(t *testing.T) {
	credentials(t)
	url := moto(t)
	ctx := t.Context()
	s := open(t, Config{Endpoint: url, TableEndpoint: url, Table: "archipel-locks"})
	if err := s.Init(ctx, func(Step) {}); err != nil {
		t.Fatal(err)
	}
	const key = "site-a/terraform.tfstate"
	if state, err := s.State(ctx, key); state != nil || err != nil {
		t.Fatalf("a state that there is none of: %+v, %v", state, err)
	}
	put := func(key, content string) {
		t.Helper()
		if _, err := s.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.config.Bucket, Key: &key, Body: strings.NewReader(content)}); err != nil {
			t.Fatal(err)
		}
	}
	put(key, `{"serial": 1}`)
	put(key, `{"serial": 2, "terraform_version": "1.12.6", "resources": [{"mode": "managed", "instances": [{}, {}]}, {"mode": "data", "instances": [{}]}]}`)
	state, err := s.State(ctx, key)
	if err != nil || state.Serial != 2 || state.Resources != 2 || state.Backups != 1 || state.Torn {
		t.Errorf("state %+v, %v", state, err)
	}
	item := func(id, name, value string) {
		t.Helper()
		_, err := s.table.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("archipel-locks"), Item: map[string]tabletypes.AttributeValue{
			lockKey: &tabletypes.AttributeValueMemberS{Value: id}, name: &tabletypes.AttributeValueMemberS{Value: value},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	item("archipel-state/"+key+"-md5", "Digest", "0123")
	if state, err = s.State(ctx, key); err != nil || !state.Torn {
		t.Errorf("a state that the table does not expect: %+v, %v", state, err)
	}

	const info = `{"ID":"1","Operation":"OperationTypeApply","Who":"ops@laptop","Created":"2026-11-28T12:00:00Z"}`
	item("archipel-state/"+key, "Info", info)
	put(key+".tflock", info)
	locks, err := s.Locks(ctx, key)
	if err != nil || len(locks) != 2 || locks[0].Who != "ops@laptop" || locks[0].Where != inTable || locks[1].Where != inFile {
		t.Fatalf("locks %+v, %v", locks, err)
	}
	item("archipel-state/"+key, "Info", strings.Replace(info, "ops", "other", 1))
	put(key+".tflock", strings.Replace(info, "ops", "other", 1))
	for _, lock := range locks {
		if err := s.Free(ctx, key, lock); err == nil || !strings.Contains(err.Error(), "somebody else has taken it since") {
			t.Errorf("the lock of somebody else was freed: %v", err)
		}
	}
	if locks, err = s.Locks(ctx, key); err != nil {
		t.Fatal(err)
	}
	for _, lock := range locks {
		if err := s.Free(ctx, key, lock); err != nil {
			t.Error(err)
		}
	}
	if locks, err = s.Locks(ctx, key); err != nil || len(locks) != 0 {
		t.Errorf("locks %+v, %v", locks, err)
	}
}

// TestReasons asks stores that cannot be used.
func TestReasons(t *testing.T) {
	credentials(t)
	answer := func(status int, body string) string {
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(func() { server.Close() })
		return "http://" + listener.Addr().String()
	}
	const refused = `<Error><Code>InvalidAccessKeyId</Code><Message>The key does not exist</Message></Error>`
	for name, test := range map[string]struct {
		url  string
		want Reason
	}{
		"wrong credentials": {answer(http.StatusForbidden, refused), Refused},
		"no bucket":         {answer(http.StatusNotFound, `<Error><Code>NoSuchBucket</Code></Error>`), NoBucket},
		"not offered":       {answer(http.StatusNotImplemented, `<Error><Code>NotImplemented</Code></Error>`), Unsupported},
		"nobody listens":    {"http://127.0.0.1:1", Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			if err := open(t, Config{Endpoint: test.url}).Ready(t.Context()); ReasonOf(err) != test.want {
				t.Errorf("%v: reason %d, want %d", err, ReasonOf(err), test.want)
			}
		})
	}
	t.Run("no credentials", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		if _, err := Open(t.Context(), Config{Region: "eu-west-1"}); ReasonOf(err) != NoCredentials {
			t.Errorf("%v", err)
		}
	})
}

// TestHonours looks at stores that lock nothing with a conditional write.
func TestHonours(t *testing.T) {
	credentials(t)
	ignores := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = ignores.Serve(listener) }()
	t.Cleanup(func() { ignores.Close() })
	reason, err := open(t, Config{Endpoint: "http://" + listener.Addr().String()}).Honours(t.Context(), "probe")
	if err != nil || !strings.Contains(reason, "two could hold the same lock") {
		t.Errorf("%q, %v", reason, err)
	}
}
