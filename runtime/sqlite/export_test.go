package sqlite

import "context"

// Tidy runs the housekeeping now, instead of every half minute.
func (t *Transport) Tidy(ctx context.Context) { t.tidy(ctx) }
