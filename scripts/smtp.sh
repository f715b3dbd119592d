#!/usr/bin/env bash
# A private, throw-away mail server (Exim) for the tests.
#
#   scripts/smtp.sh start    start the server if it isn't running, print its URL
#   scripts/smtp.sh url      print the URL of the running server
#   scripts/smtp.sh stop     stop the server and delete its mails
#
# It takes mail on a port with STARTTLS and on one with TLS from the start, only after AUTH unless it is for
# open.test, and puts every mail into one Maildir: nothing leaves the machine. The URL is what
# runtime/mail takes, with three options for the tests: smtps is the other port, maildir the
# folder of the mails, and certificates a folder in which a file NAME with certificate and key is used for clients that
# ask for the server name NAME.
# If TASKGEN_TEST_SMTP is set, start and url print it and start nothing.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

exim=/usr/sbin/exim4
dir=$root/.build/smtp

install_server() {
	[ -x $exim ] && return
	install_debian Exim "Install Exim 4.94 or newer, or leave TASKGEN_TEST_SMTP unset: the tests that need it are skipped." exim4-daemon-light
}

# configure writes the server's configuration. Exim works as its own user if root started it, else as the caller.
configure() {
	local user group
	user=$(id -un) group=$(id -gn)
	if [ "$(id -u)" = 0 ]; then
		user=Debian-exim group=Debian-exim
	fi
	mkdir -p "$dir"/{spool,log,maildir/{tmp,new,cur},certificates}
	chmod 755 "$dir"
	chown -R "$user:$group" "$dir"/{spool,log,maildir}
	cat >"$dir/exim.conf" <<-CONF
		exim_user = $user
		exim_group = $group
		spool_directory = $dir/spool
		log_file_path = $dir/log/%slog
		pid_file_path = $dir/spool/exim.pid
		keep_environment =
		primary_hostname = mail.test
		local_interfaces = 127.0.0.1
		daemon_smtp_ports = $port : $((port + 1))
		tls_on_connect_ports = $((port + 1))
		tls_advertise_hosts = *
		tls_certificate = \${if def:tls_in_sni{\${lookup{\$tls_in_sni}dsearch,ret=full{$dir/certificates}}}}
		acl_smtp_rcpt = recipient
		acl_smtp_data = accept
		deliver_drop_privilege = true
		smtp_enforce_sync = true
		message_size_limit = 1M
		smtp_accept_max = 0

		begin acl
		recipient:
			accept domains = open.test
			accept authenticated = *
			deny message = authentication required

		begin authenticators
		plain:
			driver = plaintext
			public_name = PLAIN
			server_set_id = \$auth2
			server_condition = \${if and{{eq{\$auth2}{taskgen}}{eq{\$auth3}{s3cret+pass word}}}}
			server_advertise_condition = \${if def:tls_in_cipher}

		begin routers
		all:
			driver = accept
			transport = maildir

		begin transports
		maildir:
			driver = appendfile
			maildir_format
			directory = $dir/maildir
			envelope_to_add
			return_path_add
			mode = 0644
			directory_mode = 0755
	CONF
	echo "smtp://taskgen:s3cret%2Bpass%20word@127.0.0.1:$port?smtps=$((port + 1))&maildir=$dir/maildir&certificates=$dir/certificates" >"$dir/url"
}

running() {
	[ -s "$dir/spool/exim.pid" ] && kill -0 "$(cat "$dir/spool/exim.pid")" 2>/dev/null
}

start() {
	install_server
	mkdir -p "$dir"
	exec 9>"$dir.lock" # two callers at once: the second waits and finds it running
	flock 9
	running && return
	choose_port 30000 32000 2
	configure
	$exim -C "$dir/exim.conf" -bd 9>&- </dev/null >"$dir/log/console" 2>&1 || die "the server did not start: $(cat "$dir/log/console")"
	for _ in $(seq 1 100); do
		if running && ! port_free "$port" && ! port_free $((port + 1)); then
			return
		fi
		sleep 0.05
	done
	die "the server did not start; see $dir/log"
}

stop() {
	if running; then
		local pid
		pid=$(cat "$dir/spool/exim.pid")
		kill "$pid"
		while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	fi
	rm -rf "$dir" "$dir.lock"
}

[ $# = 1 ] || usage
if [ -n "${TASKGEN_TEST_SMTP:-}" ]; then
	case $1 in start | url) echo "$TASKGEN_TEST_SMTP"; exit ;; esac
fi
case $1 in
start) start; cat "$dir/url" ;;
url) running || die "the server is not running"; cat "$dir/url" ;;
stop) stop ;;
*) usage ;;
esac
