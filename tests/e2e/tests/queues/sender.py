# Sends messages from eight threads and deletes some, until the service is gone. Says what was acknowledged, each in a line.
import sys
import threading
import uuid

import boto3
from botocore.client import Config

url = sys.argv[2]
lock = threading.Lock()


def say(*words):
    with lock:
        print(*words, flush=True)


def work():
    config = Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=60)
    sqs = boto3.client("sqs", endpoint_url=sys.argv[1], config=config)
    try:
        while True:
            bodies = [str(uuid.uuid4()) for _ in range(3)]
            sqs.send_message(QueueUrl=url, MessageBody=bodies[0])
            say("sent", bodies[0])
            entries = [{"Id": body, "MessageBody": body} for body in bodies[1:]]
            for entry in sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]:
                say("sent", entry["Id"])
            for message in sqs.receive_message(QueueUrl=url).get("Messages", []):
                say("deleting", message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                say("deleted", message["Body"])
    except Exception as e:
        print(type(e).__name__, file=sys.stderr)


threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
