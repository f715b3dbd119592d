package sqlite

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	// applicationID marks the file as ours ("tskg").
	applicationID = 0x74736b67
	// oldestSQLite is the first version without the bug that could corrupt the
	// write-ahead log when two connections wrote and reset it at once.
	oldestSQLite = "3.51.3"
)

// The states of a message.
const (
	stateReady   = 0
	stateDelayed = 1
	stateLeased  = 2
	stateDead    = 3
)

// migrations[i] leads from version i to i+1, in a transaction of its own: a
// process that dies meanwhile leaves one or the other. What this code reads and writes is the last version;
// processes of older programs that have the database open stop to use it.
//
// The table msg has what queueing needs, in small rows, since a lease rewrites
// the row; what only the consumer reads is in body, under the same id. Times
// are milliseconds since 1970.
var migrations = []string{`
CREATE TABLE queue (
	id    INTEGER PRIMARY KEY AUTOINCREMENT, -- never that of a queue that has gone
	name  TEXT NOT NULL UNIQUE,
	owner INTEGER,                      -- the process that it goes with, NULL: it stays
	heir  TEXT                          -- the queue that gets what is in it then, NULL: none
);
CREATE INDEX queue_owner ON queue (owner) WHERE owner IS NOT NULL;
CREATE TABLE exchange (
	id   INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	type TEXT NOT NULL                  -- direct, topic, fanout, headers
);
CREATE TABLE binding (
	exchange INTEGER NOT NULL,
	pattern  TEXT NOT NULL,             -- a routing key (direct, topic) or the name of a task (headers)
	queue    INTEGER NOT NULL,
	PRIMARY KEY (exchange, pattern, queue)
) WITHOUT ROWID;
CREATE INDEX binding_queue ON binding (queue);
CREATE TABLE topology (version INTEGER NOT NULL); -- goes up when exchanges or bindings change
INSERT INTO topology (version) VALUES (1);
CREATE TABLE msg (
	id      INTEGER PRIMARY KEY,        -- also the order of arrival
	queue   INTEGER NOT NULL,
	prio    INTEGER NOT NULL CHECK (prio BETWEEN 0 AND 9), -- larger first
	state   INTEGER NOT NULL,           -- 0 ready, 1 delayed, 2 leased, 3 dead
	at      INTEGER NOT NULL,           -- when it was queued (0), is due (1), was leased (2), died (3)
	owner   INTEGER,                    -- the process that has leased it (2)
	lease   INTEGER,                    -- which of the owner's leases it is (2)
	attempt INTEGER NOT NULL DEFAULT 0, -- deliveries so far
	task_id BLOB,                       -- a UUID's 16 bytes, or text
	task    TEXT NOT NULL
);
CREATE TABLE body (
	id    INTEGER PRIMARY KEY,          -- msg.id
	props BLOB NOT NULL,                -- MessagePack: exchange, routing key, reply-to, content type and encoding, headers
	body  BLOB NOT NULL
);
CREATE INDEX msg_ready   ON msg (queue, prio DESC, id) WHERE state = 0;
CREATE INDEX msg_delayed ON msg (at)                   WHERE state = 1;
CREATE INDEX msg_leased  ON msg (owner)                WHERE state = 2;
CREATE INDEX msg_dead    ON msg (queue, at)            WHERE state = 3;
CREATE UNIQUE INDEX msg_live ON msg (queue, task_id)   WHERE state <> 3; -- exchanges put one id into several queues
CREATE TABLE dead (
	id     INTEGER PRIMARY KEY,         -- msg.id
	reason TEXT NOT NULL,
	error  TEXT NOT NULL,
	stack  TEXT NOT NULL,
	worker TEXT NOT NULL
);
CREATE TABLE result (
	task_id  BLOB PRIMARY KEY,
	state    TEXT NOT NULL,
	stored   INTEGER NOT NULL,
	expires  INTEGER,                   -- NULL: never
	type     TEXT NOT NULL,             -- content type
	encoding TEXT NOT NULL,             -- content encoding
	body     BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX result_expires ON result (expires) WHERE expires IS NOT NULL;
CREATE TABLE proc (                     -- processes that lease or wait for results
	owner   INTEGER PRIMARY KEY,
	pid     INTEGER NOT NULL,
	host    TEXT NOT NULL,
	port    INTEGER NOT NULL,           -- of the doorbell, 0: none
	worker  TEXT NOT NULL,
	started INTEGER NOT NULL
);`, `
CREATE TABLE listener (                 -- who hears broadcasts; goes with its process
	id       INTEGER PRIMARY KEY AUTOINCREMENT, -- never that of one that has gone
	owner    INTEGER NOT NULL,
	queue    TEXT NOT NULL,
	exchange TEXT NOT NULL,
	type     TEXT NOT NULL,             -- fanout, direct, topic
	keys     TEXT NOT NULL,             -- JSON: an array of routing keys
	ttl      INTEGER NOT NULL           -- how long a broadcast may lie, in ms
);
CREATE INDEX listener_owner ON listener (owner);
CREATE TABLE broadcast (                -- what a listener has not heard yet
	id       INTEGER PRIMARY KEY AUTOINCREMENT, -- also the order
	listener INTEGER NOT NULL,
	expires  INTEGER NOT NULL,
	props    BLOB NOT NULL,             -- encoded as a message's
	body     BLOB NOT NULL
);
CREATE INDEX broadcast_listener ON broadcast (listener);`, `
CREATE TABLE chord (                    -- the groups whose tasks another one waits for
	name    TEXT PRIMARY KEY,
	size    INTEGER NOT NULL,           -- 0: not known yet
	ended   INTEGER NOT NULL,           -- how many rows of chord_part there are
	expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX chord_expires ON chord (expires);
CREATE TABLE chord_part (               -- how their tasks have ended
	chord   TEXT NOT NULL,              -- chord.name
	task_id TEXT NOT NULL,
	place   INTEGER NOT NULL,           -- in the group
	state   TEXT NOT NULL,
	type    TEXT NOT NULL,              -- content type
	body    BLOB NOT NULL,              -- the value, or the exception
	PRIMARY KEY (chord, task_id)
) WITHOUT ROWID;`, `
ALTER TABLE msg ADD COLUMN live INTEGER DEFAULT 1; -- 0: dead; a lease leaves it as it is, and so the index
UPDATE msg SET live = 0 WHERE state = 3;
DROP INDEX msg_live;
CREATE UNIQUE INDEX msg_live ON msg (queue, task_id) WHERE live;`}

// migrate makes a new database, or brings an old one up to date. It runs under
// the write lock. Nothing is written to a database that is not ours, or newer.
func migrate(c *conn) error {
	if err := checkSQLite(c); err != nil {
		return err
	}
	application, err := c.pragma("application_id")
	if err != nil {
		return err
	}
	version, err := c.pragma("user_version")
	if err != nil {
		return err
	}
	tables, err := c.number(`SELECT count(*) FROM sqlite_schema`)
	if err != nil {
		return err
	}
	newest := int64(len(migrations))
	switch {
	case tables > 0 && application != applicationID:
		return &refusalError{errors.New("it is a SQLite database of another program")}
	case version > newest:
		return newerError(version)
	case version == newest:
		return nil
	}
	if tables == 0 {
		// Both must be set before the first table.
		if err := c.script(`PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL`); err != nil {
			return err
		}
	}
	for v := version; v < newest; v++ {
		if err := applyMigration(c, int(v)); err != nil {
			return err
		}
	}
	return nil
}

// checkVersion makes sure, in each transaction, that no newer program has
// changed the database meanwhile.
func checkVersion(c *conn) error {
	version, err := c.pragma("user_version")
	switch newest := int64(len(migrations)); {
	case err != nil:
		return err
	case version > newest:
		return newerError(version)
	case version < newest:
		return &damageError{fmt.Sprintf("its schema was %d, and has become %d", newest, version)}
	}
	return nil
}

func newerError(version int64) error {
	return &refusalError{fmt.Errorf("it was written by a newer taskgen (schema %d, this program knows %d): update this program", version, len(migrations))}
}

func applyMigration(c *conn, from int) error {
	err := c.script(fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
		migrations[from], applicationID, from+1))
	if err != nil && c.inTransaction() {
		err = errors.Join(err, c.script("ROLLBACK"))
	}
	return err
}

func checkSQLite(c *conn) error {
	var version string
	err := c.query(`SELECT sqlite_version()`, func(r row) error {
		version = r.text(0)
		return nil
	})
	if err != nil {
		return err
	}
	if olderVersion(version, oldestSQLite) {
		return fmt.Errorf("this program was built with SQLite %s, which can corrupt a database that several processes write; %s or newer is needed", version, oldestSQLite)
	}
	return nil
}

// olderVersion compares dotted numbers.
func olderVersion(v, than string) bool {
	a, b := strings.Split(v, "."), strings.Split(than, ".")
	for i := range b {
		if i >= len(a) {
			return true
		}
		x, _ := strconv.Atoi(a[i])
		y, _ := strconv.Atoi(b[i])
		if x != y {
			return x < y
		}
	}
	return false
}

// number returns the only column of the only row, 0 for NULL.
func (c *conn) number(sql string, args ...any) (n int64, err error) {
	err = c.query(sql, func(r row) error {
		n = r.int(0)
		return nil
	}, args...)
	return n, err
}

func (c *conn) pragma(name string) (int64, error) { return c.number("PRAGMA " + name) }
