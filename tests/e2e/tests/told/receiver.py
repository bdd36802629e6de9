# A webhook's receiver with nothing but the standard library: it verifies as docs/notifications.md says, refuses the first try of
# each event, and writes a line for each. The first line is its port.
import base64, hashlib, hmac, http.server, json, sys, time

key = base64.b64decode(sys.argv[1].removeprefix("whsec_"))
seen = set()

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        id, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        wanted = base64.b64encode(hmac.new(key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()).decode()
        genuine = f"v1,{wanted}" in self.headers["webhook-signature"].split() and abs(time.time() - int(at)) < 300
        event = json.loads(body)
        again = id in seen
        seen.add(id)
        self.send_response(200 if again else 500)
        self.end_headers()
        print(json.dumps({"genuine": genuine and event["id"] == id, "again": again, "event": event}), flush=True)

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
