-- Times are milliseconds since 1970.
CREATE TABLE IF NOT EXISTS posts (
	id        INTEGER PRIMARY KEY,
	slug      TEXT    NOT NULL UNIQUE,
	stamp     TEXT    NOT NULL, -- the picture on it: loaf, envelope or train
	title     TEXT    NOT NULL,
	summary   TEXT    NOT NULL,
	body      TEXT    NOT NULL,
	published INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS comments (
	id          INTEGER PRIMARY KEY AUTOINCREMENT, -- an id in a message must never come to mean another comment
	post        INTEGER NOT NULL REFERENCES posts,
	name        TEXT    NOT NULL,
	email       TEXT    NOT NULL,
	homepage    TEXT    NOT NULL,
	body        TEXT    NOT NULL,
	posted      INTEGER NOT NULL,
	author      TEXT    NOT NULL, -- who may see it before it is published: see Comment.Author
	remote_addr TEXT    NOT NULL,
	user_agent  TEXT    NOT NULL,
	referrer    TEXT    NOT NULL,
	status      TEXT    NOT NULL DEFAULT 'checking' CHECK (status IN ('checking', 'published', 'held')),
	queued      INTEGER -- when the broker took the task that checks it; null if it has not yet
);

CREATE INDEX IF NOT EXISTS comments_of_post ON comments (post, posted);
CREATE INDEX IF NOT EXISTS comments_checking ON comments (posted) WHERE status = 'checking';
