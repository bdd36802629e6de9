# Orders an archive by a message, and waits for the message that tells of it. Prints what it tells.
import io
import json
import sys
import urllib.request
import zipfile

import boto3

sqs = boto3.client("sqs", endpoint_url=sys.argv[1])
orders = sqs.get_queue_url(QueueName="archive-orders")["QueueUrl"]
ready = sqs.get_queue_url(QueueName="archives-ready")["QueueUrl"]
metadata = {"order": 17, "mail": "ann@example.org"}
order = {"files": [{"source": "sea.svg", "destination": "holidays/"}], "metadata": metadata}
sqs.send_message(QueueUrl=orders, MessageBody=json.dumps(order))

messages = []
for _ in range(3):
    messages = messages or sqs.receive_message(
        QueueUrl=ready, WaitTimeSeconds=20, MessageAttributeNames=["All"]
    ).get("Messages", [])
[message] = messages
sqs.delete_message(QueueUrl=ready, ReceiptHandle=message["ReceiptHandle"])

event = json.loads(message["Body"])
attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
assert attributes == {"event_id": event["id"], "event_type": "archive.ready"}, attributes
assert event["specversion"] == "1.0" and event["type"] == "archive.ready", event
assert event["data"]["metadata"] == metadata, event
with urllib.request.urlopen(event["data"]["link"]["url"]) as answer:
    zipped = zipfile.ZipFile(io.BytesIO(answer.read()))
assert zipped.read("holidays/sea.svg") == b"<svg/>", zipped.namelist()
print(json.dumps(event))
