"""hub.py PORT_FILE LOG FOLDER [CERT KEY REDIRECT] - a small model hub for the tests of `apr pull`.

Serves FOLDER/org/repo/* as the files of the repository org/repo, by the hub's protocol; each
request is a line of LOG: method, path, Range, token. org/gated is org/repo for those who have the
token "good". With CERT and KEY it speaks TLS and redirects every file to REDIRECT.
"""
import hashlib
import http.server
import json
import os
import ssl
import sys
import urllib.parse

PORT_FILE, LOG, FOLDER = sys.argv[1:4]
COMMITS = {"main": "c" * 40, "old": "d" * 40}
REDIRECT = sys.argv[6] if len(sys.argv) > 6 else None


class Hub(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def reply(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def listing(self, repo, revision):
        commit = revision if revision in COMMITS.values() else COMMITS.get(revision)
        folder = os.path.join(FOLDER, repo)
        if not commit or not os.path.isdir(folder):
            return self.reply(404, X_Error_Message="no such thing here")
        siblings = []
        for where, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(where, name)
                with open(path, "rb") as f:
                    data = f.read()
                siblings.append({"rfilename": os.path.relpath(path, folder), "size": len(data),
                                 "lfs": {"sha256": hashlib.sha256(data).hexdigest(),
                                         "size": len(data)}})
        return self.reply(200, json.dumps({"sha": commit, "siblings": siblings}).encode())

    def file(self, path):
        if REDIRECT:
            return self.reply(302, Location=REDIRECT)
        if not os.path.isfile(path):
            return self.reply(404)
        with open(path, "rb") as f:
            data = f.read()
        etag = '"' + hashlib.md5(data).hexdigest() + '"'
        wanted = self.headers.get("Range")
        if not wanted:
            return self.reply(200, data, ETag=etag)
        first = int(wanted[len("bytes="):-1])
        span = f"bytes {first}-{len(data) - 1}/{len(data)}"
        return self.reply(206, data[first:], ETag=etag, Content_Range=span)

    def do_GET(self):
        token = self.headers.get("Authorization")
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(f"GET {self.path} {self.headers.get('Range')} {token}\n")
        # Asked as a proxy it gets whole addresses, and is the hub whatever they say.
        path = urllib.parse.urlsplit(self.path).path
        parts = urllib.parse.unquote(path).strip("/").split("/")
        is_api = parts[:2] == ["api", "models"]
        parts = parts[2:] if is_api else parts
        if parts[:2] == ["org", "gated"]:
            if token != "Bearer good":
                return self.reply(401 if not token else 403)
            parts[1] = "repo"
        repo = "/".join(parts[:2])
        if is_api and parts[2:3] == ["revision"]:
            return self.listing(repo, "/".join(parts[3:]))
        if parts[2:3] == ["resolve"]:
            return self.file(os.path.join(FOLDER, repo, *parts[4:]))
        return self.file(os.path.join(FOLDER, *parts))


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
if len(sys.argv) > 6:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(PORT_FILE + ".new", "w", encoding="utf-8") as f:
    f.write(str(server.server_address[1]))
os.rename(PORT_FILE + ".new", PORT_FILE)
server.serve_forever()
