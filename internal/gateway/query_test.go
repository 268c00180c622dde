package gateway

import (
	"net/url"
	"strings"
	"testing"
)

func TestCheckQuery(t *testing.T) {
	for query, meant := range map[string]string{
		"": "", "after=1&id=2": "", "t=1": "", "transport=websocket": "", "ids=1": "", "before=1": "", "last_event_id=1": "",
		"afer=last": "after", "After=last": "after", "aftre=last": "after", "id=1&lst=5": "last", "consumers=x": "consumer",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckQuery(url.Values{"after": {"1", "2"}}, "after"); err == nil {
			t.Error("after= twice is passed over")
		}
		err = CheckQuery(q, "after", "id", "last", "consumer")
		if (err == nil) != (meant == "") || err != nil && !strings.HasSuffix(err.Error(), "did you mean "+meant+"?") {
			t.Errorf("%q: %v", query, err)
		}
	}
}
