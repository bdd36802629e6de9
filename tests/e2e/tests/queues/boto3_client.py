# What programs do with message queues by boto3. Takes the door's address and the protocol that this boto3 speaks.
import hashlib
import json
import sys
import threading
import time

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

sqs = boto3.client("sqs", endpoint_url=sys.argv[1], config=Config(retries={"max_attempts": 0}))


protocol = sqs.meta.service_model.metadata["protocol"]
assert protocol == sys.argv[2], f"this boto3 speaks {protocol}"
# the older boto3 does not know the newer name
members = sqs.meta.service_model.operation_model("ReceiveMessage").input_shape.members
system_attributes = next(n for n in ("MessageSystemAttributeNames", "AttributeNames") if n in members)


def refused(code, call, **wish):
    try:
        call(**wish)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e.response
        return e.response["Error"]["Message"]
    raise AssertionError(f"not refused with {code}: {wish}")


def receive(url, **wish):
    return sqs.receive_message(QueueUrl=url, **{"MaxNumberOfMessages": 10, **wish}).get("Messages", [])


def counts(url):
    names = ["", "NotVisible", "Delayed"]
    got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return [int(got["ApproximateNumberOfMessages" + name]) for name in names]


# queues
url = sqs.create_queue(QueueName="orders")["QueueUrl"]
assert url.endswith("/000000000000/orders"), url
assert sqs.create_queue(QueueName="orders")["QueueUrl"] == sqs.get_queue_url(QueueName="orders")["QueueUrl"] == url
refused("QueueAlreadyExists", sqs.create_queue, QueueName="orders", Attributes={"DelaySeconds": "3"})
assert "FIFO" in refused("InvalidParameterValue", sqs.create_queue, QueueName="a.fifo")
assert "FIFO" in refused(
    "AWS.SimpleQueueService.UnsupportedOperation", sqs.create_queue, QueueName="a", Attributes={"FifoQueue": "true"}
)
refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName="nowhere")
try:
    sqs.send_message(QueueUrl=url + "x", MessageBody="x")
    raise AssertionError("a queue that is not there took a message")
except sqs.exceptions.QueueDoesNotExist:
    pass
others = [sqs.create_queue(QueueName=f"page-{n}")["QueueUrl"] for n in range(5)]
pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix="page-", PaginationConfig={"PageSize": 2})
assert [u for page in pages for u in page.get("QueueUrls", [])] == others
assert url in sqs.list_queues()["QueueUrls"]
for other in others:
    sqs.delete_queue(QueueUrl=other)
assert sqs.list_queues(QueueNamePrefix="page-").get("QueueUrls", []) == []
refused("AWS.SimpleQueueService.UnsupportedOperation", sqs.tag_queue, QueueUrl=url, Tags={"a": "b"})

# attributes of a queue
sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "60", "MessageRetentionPeriod": "3600"})
got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout", "MessageRetentionPeriod"])
assert got["Attributes"] == {"VisibilityTimeout": "60", "MessageRetentionPeriod": "3600"}, got
refused("InvalidAttributeValue", sqs.set_queue_attributes, QueueUrl=url, Attributes={"VisibilityTimeout": "43201"})
refused("InvalidAttributeName", sqs.set_queue_attributes, QueueUrl=url, Attributes={"Visible": "1"})

# one message, as it was sent
attributes = {
    "kind": {"DataType": "String", "StringValue": "zip é"},
    "size": {"DataType": "Number.int", "StringValue": "12"},
    "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}
body = json.dumps({"é": "\U0001f600"}, ensure_ascii=False) + "\n\t<&>\r\n]]>&amp;\u2028 \r"
sent = sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
assert counts(url) == [1, 0, 0]
(got,) = receive(url, MessageAttributeNames=["All"], AttributeNames=["All"])
assert (got["MessageId"], got["Body"], got["MessageAttributes"]) == (sent["MessageId"], body, attributes), got
assert (got["MD5OfBody"], got["MD5OfMessageAttributes"]) == (sent["MD5OfMessageBody"], sent["MD5OfMessageAttributes"])
assert got["MD5OfBody"] == hashlib.md5(body.encode()).hexdigest(), got
assert got["Attributes"]["ApproximateReceiveCount"] == "1", got
assert abs(int(got["Attributes"]["SentTimestamp"]) / 1000 - time.time()) < 60, got
assert counts(url) == [0, 1, 0] and receive(url) == []
assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[])

# visibility, and a receipt that is no longer the newest
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"], VisibilityTimeout=0)
(again,) = receive(url, **{system_attributes: ["ApproximateReceiveCount"]})
assert (again["MessageId"], again["Attributes"]["ApproximateReceiveCount"]) == (got["MessageId"], "2"), again
assert "MessageAttributes" not in again
sqs.delete_message(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"])
assert counts(url) == [0, 1, 0], "an older receipt deletes nothing"
stale = {"QueueUrl": url, "ReceiptHandle": got["ReceiptHandle"], "VisibilityTimeout": 5}
refused("AWS.SimpleQueueService.MessageNotInflight", sqs.change_message_visibility, **stale)
sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
assert counts(url) == [0, 0, 0]
refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=url, ReceiptHandle="nonsense")

# batches, in which one entry may fail alone
entries = [{"Id": f"e{n}", "MessageBody": f"body {n}"} for n in range(9)] + [{"Id": "bad", "MessageBody": "\x01"}]
entries[3]["MessageAttributes"] = attributes
done = sqs.send_message_batch(QueueUrl=url, Entries=entries)
assert [e["Id"] for e in done["Successful"]] == [f"e{n}" for n in range(9)], done
assert [(e["Id"], e["Code"], e["SenderFault"]) for e in done["Failed"]] == [("bad", "InvalidMessageContents", True)]
got = receive(url, MessageAttributeNames=["kind", "ra.*", "raw"])
assert {m["Body"] for m in got} == {f"body {n}" for n in range(9)}
told = {m["Body"]: m.get("MessageAttributes") for m in got if "MessageAttributes" in m}
assert told == {"body 3": {name: attributes[name] for name in ("kind", "raw")}}, told
changes = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 90} for n, m in enumerate(got)]
assert len(sqs.change_message_visibility_batch(QueueUrl=url, Entries=changes)["Successful"]) == 9
gone = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(got)]
done = sqs.delete_message_batch(QueueUrl=url, Entries=[gone[0], {"Id": "bad", "ReceiptHandle": "nonsense"}])
assert [e["Id"] for e in done["Successful"]] == ["0"], done
assert [(e["Id"], e["Code"]) for e in done["Failed"]] == [("bad", "ReceiptHandleIsInvalid")], done
done = sqs.delete_message_batch(QueueUrl=url, Entries=gone)
assert len(done["Successful"]) == 9 and "Failed" not in done, done
assert counts(url) == [0, 0, 0]
twice = [{"Id": "a", "MessageBody": "x"}] * 2
refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", sqs.send_message_batch, QueueUrl=url, Entries=twice)
many = [{"Id": str(n), "MessageBody": "x"} for n in range(11)]
refused("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=many)
refused("AWS.SimpleQueueService.EmptyBatchRequest", sqs.send_message_batch, QueueUrl=url, Entries=[])
half = [{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)]
refused("AWS.SimpleQueueService.BatchRequestTooLong", sqs.send_message_batch, QueueUrl=url, Entries=half)

# limits
sqs.send_message(QueueUrl=url, MessageBody="é" * (512 * 1024))
(longest,) = receive(url)
assert longest["Body"] == "é" * (512 * 1024)
sqs.delete_message(QueueUrl=url, ReceiptHandle=longest["ReceiptHandle"])
refused("InvalidParameterValue", sqs.send_message, QueueUrl=url, MessageBody="x" * (1024 * 1024 + 1))
refused("InvalidMessageContents", sqs.send_message, QueueUrl=url, MessageBody="\x00")
refused("InvalidParameterValue", sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11)
refused("InvalidParameterValue", sqs.receive_message, QueueUrl=url, WaitTimeSeconds=21)
refused("InvalidParameterValue", sqs.send_message, QueueUrl=url, MessageBody="x", DelaySeconds=901)

# a delay
sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=1)
assert counts(url) == [0, 0, 1] and receive(url) == []
began = time.monotonic()
(later,) = receive(url, WaitTimeSeconds=20)
assert time.monotonic() - began < 10, "the wait did not end with the delay"
sqs.delete_message(QueueUrl=url, ReceiptHandle=later["ReceiptHandle"])

# a long poll ends as soon as a message comes
woken = []
waiter = threading.Thread(target=lambda: woken.extend(receive(url, WaitTimeSeconds=20)))
began = time.monotonic()
waiter.start()
sqs.send_message(QueueUrl=url, MessageBody="wake up")
waiter.join()
assert [m["Body"] for m in woken] == ["wake up"] and time.monotonic() - began < 10, woken

# purge takes what is in flight too
sqs.send_message(QueueUrl=url, MessageBody="x")
sqs.purge_queue(QueueUrl=url)
assert counts(url) == [0, 0, 0]

# dead letters
letters = sqs.create_queue(QueueName="letters")["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})
sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "0"})
got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
assert json.loads(got) == {"deadLetterTargetArn": arn, "maxReceiveCount": 2}, got
assert sqs.list_dead_letter_source_queues(QueueUrl=letters)["queueUrls"] == [url]
poison = sqs.send_message(QueueUrl=url, MessageBody="poison")["MessageId"]
assert [len(receive(url)) for _ in range(3)] == [1, 1, 0]
(letter,) = receive(letters, AttributeNames=["All"])
assert letter["MessageId"] == poison and letter["Attributes"]["DeadLetterQueueSourceArn"].endswith(":orders"), letter
nowhere = json.dumps({"deadLetterTargetArn": arn + "x", "maxReceiveCount": "2"})
refused("InvalidAttributeValue", sqs.set_queue_attributes, QueueUrl=url, Attributes={"RedrivePolicy": nowhere})

# signatures
for key, secret, region, code in [
    ("nobody", "x", "us-east-1", "InvalidClientTokenId"),
    (None, "wrong", "us-east-1", "SignatureDoesNotMatch"),
    (None, None, "eu-north-1", "IncompleteSignature"),
]:
    mine = boto3.session.Session().get_credentials()
    keys = {"aws_access_key_id": key or mine.access_key, "aws_secret_access_key": secret or mine.secret_key}
    stranger = boto3.client("sqs", endpoint_url=sys.argv[1], region_name=region, **keys)
    refused(code, stranger.list_queues)

for queue in (url, letters):
    sqs.delete_queue(QueueUrl=queue)
assert "QueueUrls" not in sqs.list_queues() or sqs.list_queues()["QueueUrls"] == [], sqs.list_queues()
