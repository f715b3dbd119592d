package sqlite

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// This file is the seam to the SQLite driver, and the only one that names it:
// another driver is another conn.go, and another wal_file.go or none.

// A conn is one connection to the database. It is not safe for concurrent use.
type conn struct {
	db    *sqlite3.Conn
	stmts map[string]*sqlite3.Stmt
	log   *walFile // nil: it was not opened yet
}

// openConn opens the database file, which it creates if it is missing. busy is
// how long a statement waits for a lock that somebody else holds.
func openConn(path string, busy time.Duration) (*conn, error) {
	db, err := sqlite3.OpenFlags(databaseURI(path), sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE|sqlite3.OPEN_URI)
	if err != nil {
		return nil, err
	}
	// Without that SQLite looks at the arguments for its plans, since we have partial indexes, and so prepares a statement anew for
	// each: a fifth of all the work of a worker. (https://sqlite.org/c3ref/c_dbconfig_defensive.html, "query planner stability guarantee")
	_, err = db.Config(sqlite3.DBCONFIG_ENABLE_QPSG, true)
	if err == nil {
		err = db.BusyTimeout(busy)
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return &conn{db: db, stmts: map[string]*sqlite3.Stmt{}}, nil
}

// syncsLog says whether what is written to the log from now on is synced before it is committed.
func (c *conn) syncsLog(syncs bool) {
	if c.log == nil {
		log, _ := c.db.FileControl("main", sqlite3.FCNTL_JOURNAL_POINTER)
		c.log, _ = log.(*walFile)
	}
	if c.log != nil {
		c.log.syncs = syncs
	}
}

// script runs statements that take no arguments and return no rows.
func (c *conn) script(sql string) (err error) {
	defer contain(&err)
	return c.db.Exec(sql)
}

// exec runs one statement and returns how many rows it changed.
func (c *conn) exec(sql string, args ...any) (changed int, err error) {
	defer contain(&err)
	s, err := c.prepare(sql, args)
	if err != nil {
		return 0, err
	}
	if err := s.Exec(); err != nil {
		return 0, err
	}
	return int(c.db.Changes()), nil
}

// query runs one statement and calls each for every row. The row is valid
// during the call. After an error of each, the rest is skipped.
func (c *conn) query(sql string, each func(row) error, args ...any) (err error) {
	defer contain(&err)
	s, err := c.prepare(sql, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Reset()) }()
	for s.Step() {
		if err := each(row{s}); err != nil {
			return err
		}
	}
	return nil // an error of Step comes out of Reset
}

// lastID returns the row id of the last insert.
func (c *conn) lastID() int64 { return c.db.LastInsertRowID() }

// inTransaction says whether a transaction is open: some errors end it by themselves.
func (c *conn) inTransaction() bool { return !c.db.GetAutocommit() }

// close ends the connection. A nil conn is closed already.
func (c *conn) close() (err error) {
	if c == nil {
		return nil
	}
	defer contain(&err)
	for _, s := range c.stmts {
		_ = s.Close()
	}
	return c.db.Close()
}

// prepare returns the statement for sql, compiled once per connection, with
// args bound. A statement that failed before is reset.
func (c *conn) prepare(sql string, args []any) (*sqlite3.Stmt, error) {
	s, ok := c.stmts[sql]
	if !ok {
		var err error
		if s, _, err = c.db.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT); err != nil {
			return nil, err
		}
		c.stmts[sql] = s
	}
	_ = s.Reset() // reports the error of the run before
	for i, arg := range args {
		if err := bind(s, i+1, arg); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func bind(s *sqlite3.Stmt, i int, arg any) error {
	switch v := arg.(type) {
	case nil:
		return s.BindNull(i)
	case int:
		return s.BindInt64(i, int64(v))
	case int64:
		return s.BindInt64(i, v)
	case string:
		return s.BindText(i, v)
	case []byte:
		if v == nil {
			v = []byte{} // NULL means something else
		}
		return s.BindBlob(i, v)
	case taskID:
		return bind(s, i, v.column())
	case time.Time:
		return s.BindInt64(i, v.UnixMilli())
	}
	return fmt.Errorf("can't bind a %T", arg)
}

// A row is the current row of a query.
type row struct{ s *sqlite3.Stmt }

func (r row) null(col int) bool   { return r.s.ColumnType(col) == sqlite3.NULL }
func (r row) int(col int) int64   { return r.s.ColumnInt64(col) }
func (r row) text(col int) string { return r.s.ColumnText(col) }

// blob returns a copy, never nil.
func (r row) blob(col int) []byte {
	return r.s.ColumnBlob(col, make([]byte, 0, len(r.s.ColumnRawBlob(col))))
}

// taskID reads what a bound taskID has become.
func (r row) taskID(col int) taskID {
	switch r.s.ColumnType(col) {
	case sqlite3.NULL:
		return ""
	case sqlite3.BLOB:
		return taskIDFromBlob(r.s.ColumnRawBlob(col))
	default:
		return taskID(r.s.ColumnText(col))
	}
}

// A failure is what an error of the database means for the work at hand.
type failure int

const (
	// refused: this statement can't succeed; others can.
	refused failure = iota
	// blocked: nothing can be written now; the same may succeed later.
	blocked
	// broken: nothing will succeed until somebody repairs the files.
	broken
)

// classify tells the kinds of errors apart.
func classify(err error) failure {
	switch {
	case errors.As(err, new(*driverPanicError)), errors.As(err, new(*refusalError)):
		return broken
	case errors.As(err, new(*lockedError)):
		return blocked
	}
	var code sqlite3.ErrorCode
	if !errors.As(err, &code) {
		return refused
	}
	switch code {
	case sqlite3.IOERR:
		var extended sqlite3.ExtendedErrorCode
		if errors.As(err, &extended) && (extended == sqlite3.IOERR_CORRUPTFS || extended == sqlite3.IOERR_DATA) {
			return broken
		}
		return blocked
	case sqlite3.BUSY, sqlite3.LOCKED, sqlite3.FULL, sqlite3.PROTOCOL, sqlite3.NOMEM, sqlite3.INTERRUPT:
		return blocked
	case sqlite3.CORRUPT, sqlite3.NOTADB, sqlite3.READONLY, sqlite3.CANTOPEN, sqlite3.PERM, sqlite3.AUTH:
		return broken
	}
	return refused
}

// isFull says whether the disk may be full. The driver doesn't always tell it
// from other failures to write.
func isFull(err error) bool {
	return errors.Is(err, sqlite3.FULL) || errors.Is(err, sqlite3.IOERR_WRITE) || errors.Is(err, sqlite3.IOERR_SHMSIZE)
}

// isUncertain says whether a commit that failed so may have reached the disk
// all the same. What was not written completely has not.
func isUncertain(err error) bool {
	return errors.Is(err, sqlite3.IOERR) && !isFull(err)
}

func isCorrupt(err error) bool {
	return errors.Is(err, sqlite3.CORRUPT) || errors.Is(err, sqlite3.NOTADB) || errors.As(err, new(*driverPanicError))
}

func isReadOnly(err error) bool {
	return errors.Is(err, sqlite3.READONLY) || errors.Is(err, sqlite3.PERM) || errors.Is(err, syscall.EROFS)
}

func isLocked(err error) bool {
	return errors.Is(err, sqlite3.BUSY) || errors.Is(err, sqlite3.LOCKED) || errors.As(err, new(*lockedError))
}

// A driverPanicError is a panic of the driver: it runs SQLite's C code compiled to
// Go, where reading a broken page can end in an index out of range.
type driverPanicError struct{ value any }

func (p *driverPanicError) Error() string {
	return fmt.Sprintf("the SQLite driver panicked: %v", p.value)
}

func contain(err *error) {
	if v := recover(); v != nil {
		*err = errors.Join(*err, &driverPanicError{v})
	}
}
