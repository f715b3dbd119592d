// Package redis keeps results in Redis, in Celery's own keys and format: what Python workers store Go callers read, and the
// reverse, and both count the parts of the same chords.
//
// Importing it makes task.OpenResultStore, and with it the -results flag of a worker and broker.Results, know these URLs:
//
//	redis://[user:password@]host[:port][/db][?options]    Redis 6 or newer, or what speaks its protocol
//	rediss://…                                            over TLS, with the server's certificate verified
//	redis+socket:///path[?virtual_host=db&password=…]     a Unix socket
//
// The options are Celery's, and keyprefix:
//
//	keyprefix                    in front of all keys, as Celery's global_keyprefix
//	virtual_host                 the database, instead of the path
//	max_connections              at most that many; by default 10 for each CPU, and one for news
//	socket_timeout               for one answer, in seconds; 5 by default
//	socket_connect_timeout       for a connection, in seconds; 5 by default
//	ssl_ca_certs, ssl_certfile, ssl_keyfile    PEM files, for rediss
//	ssl_cert_reqs                required, and nothing else
package redis
