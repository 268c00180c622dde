package outbound

import (
	"context"
	"io"

	"github.com/kabar-io/kabar/internal/process"
)

// Call is a process's call. What it answers is read whole, or the call failed.
func (c *Client) Call(ctx context.Context, r process.Request) (process.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	res, err := c.do(ctx, r.Method, r.URL, r.Header, r.Body, false)
	if err != nil {
		return process.Answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, int64(r.MaxAnswer)+1))
	switch {
	case err != nil:
		return process.Answer{}, explain(ctx, err)
	case len(body) > r.MaxAnswer:
		return process.Answer{}, errTooLarge
	}
	return process.Answer{Status: res.StatusCode, Body: body}, nil
}
