-- Prosody as the comparison runs it: what Debian's package ships, without the modules that neither of the others has here
-- (PEP, vCards, bookmarks, invitations, federation), and without limits on the rate of clients. @DIR@ and @PORT@ are replaced.
modules_enabled = {
	"disco";
	"roster";
	"saslauth";
	"tls";
	"blocklist";
	"carbons";
	"smacks";
	"csi_simple";
	"ping";
	"register";
	"time";
	"uptime";
	"version";
}
modules_disabled = { "s2s"; "limits" }

network_backend = "epoll"
network_settings = { tcp_backlog = 4096 }
interfaces = { "127.0.0.1" }
c2s_ports = { @PORT@ }
c2s_direct_tls_ports = {}
http_ports = {}
https_ports = {}

-- Where the comparison runs as root, Prosody needs to be told that this is meant.
run_as_root = true
pidfile = "@DIR@/prosody.pid"
data_path = "@DIR@/data"
certificates = "@DIR@"
log = { warn = "@DIR@/prosody.log" }

authentication = "internal_hashed"
storage = "internal"
allow_registration = true
c2s_require_encryption = false
allow_unencrypted_plain_auth = true

VirtualHost "localhost"
	ssl = { key = "@DIR@/server.key"; certificate = "@DIR@/server.crt" }
