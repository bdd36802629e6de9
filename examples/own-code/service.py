"""A service as a processor: numbers the lines of whatever is posted to it. Usage: service.py PORT"""

import http.server
import sys
import urllib.parse


class Numbering(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        mark = urllib.parse.unquote(self.headers.get("x-filemill-option-mark", " "))
        lines = self.rfile.read(int(self.headers["content-length"])).splitlines(keepends=True)
        answer = b"".join(b"%d%s%s" % (n, mark.encode(), line) for n, line in enumerate(lines, 1))
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Numbering)
print("listening on %s:%d" % server.server_address, flush=True)
server.serve_forever()
