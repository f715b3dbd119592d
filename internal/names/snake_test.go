package names

import "testing"

func TestSnake(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"customerID": "customer_id", "HTTPServer": "http_server", "type_": "type", "_x": "x", "already_snake": "already_snake",
		"CreateUser": "create_user", "userIDs": "user_ids", "URLsOf": "urls_of", "x1Y": "x1_y", "ID": "id", "Ünder": "ünder", "a": "a", "_": "",
	} {
		if got := Snake(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
