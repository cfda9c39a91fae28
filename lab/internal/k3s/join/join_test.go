package join

import "testing"

func TestSupervisor(t *testing.T) {
	for server, want := range map[string]string{
		"https://192.0.2.11:6443":   "https://192.0.2.11:9345",
		"https://192.0.2.11:9345":   "https://192.0.2.11:9345",
		"https://api.example.com/":  "https://api.example.com:9345",
		"https://[2001:db8::1]:643": "https://[2001:db8::1]:9345",
	} {
		if got, err := Supervisor(server); err != nil || got != want {
			t.Errorf("%s: got %s, %v", server, got, err)
		}
	}
	for _, server := range []string{"", "192.0.2.11:6443", "http://192.0.2.11:6443", "https://", "https://a/b"} {
		if got, err := Supervisor(server); err == nil {
			t.Errorf("%s: got %s", server, got)
		}
	}
}
