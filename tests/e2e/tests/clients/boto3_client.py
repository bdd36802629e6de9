# What scripts do with boto3, each answer checked here; the jobs are checked by whoever runs this.
import hashlib
import io
import sys
import urllib.request

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3", endpoint_url=sys.argv[1], config=Config(signature_version="s3v4", retries={"max_attempts": 0}))


def refused(code, call, **wish):
    try:
        call(**wish)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e.response
        return
    raise AssertionError(f"not refused with {code}: {wish}")


assert {b["Name"] for b in s3.list_buckets()["Buckets"]} == {"uploads", "inbox", "orders", "results"}

# objects, metadata, tags, ranges
put = s3.put_object(
    Bucket="uploads", Key="boto/put.txt", Body=b"put by boto3\n", ContentType="text/plain", Metadata={"who": "me"},
    Tagging="colour=blue",
)
assert put["ETag"] == '"%s"' % hashlib.md5(b"put by boto3\n").hexdigest(), put
head = s3.head_object(Bucket="uploads", Key="boto/put.txt")
assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (13, "text/plain", {"who": "me"}), head
tags = s3.get_object_tagging(Bucket="uploads", Key="boto/put.txt")["TagSet"]
assert tags == [{"Key": "colour", "Value": "blue"}], tags
part = s3.get_object(Bucket="uploads", Key="boto/put.txt", Range="bytes=4-5")
assert (part["Body"].read(), part["ContentRange"]) == (b"by", "bytes 4-5/13"), part
s3.put_object(Bucket="uploads", Key="boto/../dots.txt", Body=b"dots are only dots\n")
assert s3.get_object(Bucket="uploads", Key="boto/../dots.txt")["Body"].read() == b"dots are only dots\n"
refused("NoSuchKey", s3.get_object, Bucket="uploads", Key="dots.txt")
refused("NoSuchBucket", s3.list_objects_v2, Bucket="nowhere")

# multipart and a copy of it
large = open("large.txt", "rb").read()
s3.upload_fileobj(io.BytesIO(large), "uploads", "boto/large.txt")
back = io.BytesIO()
s3.download_fileobj("uploads", "boto/large.txt", back)
assert back.getvalue() == large
s3.copy_object(Bucket="uploads", Key="boto/copy.txt", CopySource={"Bucket": "uploads", "Key": "boto/large.txt"})

# links that boto3 signs itself
url = s3.generate_presigned_url("put_object", Params={"Bucket": "uploads", "Key": "boto/presigned.txt"})
request = urllib.request.Request(url, data=b"by a presigned link\n", method="PUT")
assert urllib.request.urlopen(request).status == 200
url = s3.generate_presigned_url("get_object", Params={"Bucket": "uploads", "Key": "boto/presigned.txt"})
assert urllib.request.urlopen(url).read() == b"by a presigned link\n"
form = s3.generate_presigned_post("uploads", "boto/posted.txt", Conditions=[["content-length-range", 1, 100]])
fields = "".join(
    f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in form["fields"].items()
)
body = f'{fields}--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nby a presigned form\n\r\n--x--\r\n'
kind = {"Content-Type": "multipart/form-data; boundary=x"}
assert urllib.request.urlopen(urllib.request.Request(form["url"], data=body.encode(), headers=kind)).status in (200, 204)

# conditions
s3.put_object(Bucket="uploads", Key="boto/once.txt", Body=b"first\n", IfNoneMatch="*")
refused("PreconditionFailed", s3.put_object, Bucket="uploads", Key="boto/once.txt", Body=b"second\n", IfNoneMatch="*")
first = s3.put_object(Bucket="uploads", Key="boto/replaced.txt", Body=b"first\n")["ETag"]
s3.put_object(Bucket="uploads", Key="boto/replaced.txt", Body=b"second\n", IfMatch=first)
refused("PreconditionFailed", s3.put_object, Bucket="uploads", Key="boto/replaced.txt", Body=b"third\n", IfMatch=first)

# pages, common prefixes, many deletes at once
keys = [f"many/{'ab'[n % 2]}/{n:03}" for n in range(60)]
for key in keys:
    s3.put_object(Bucket="uploads", Key=key, Body=key.encode())
pages = s3.get_paginator("list_objects_v2").paginate(
    Bucket="uploads", Prefix="many/", PaginationConfig={"PageSize": 7}
)
assert [o["Key"] for page in pages for o in page["Contents"]] == sorted(keys)
folders = s3.list_objects_v2(Bucket="uploads", Prefix="many/", Delimiter="/")["CommonPrefixes"]
assert [f["Prefix"] for f in folders] == ["many/a/", "many/b/"], folders
deleted = s3.delete_objects(Bucket="uploads", Delete={"Objects": [{"Key": key} for key in keys]})
assert sorted(d["Key"] for d in deleted["Deleted"]) == sorted(keys) and "Errors" not in deleted, deleted
assert "Contents" not in s3.list_objects_v2(Bucket="uploads", Prefix="many/")

# a multipart upload that is given up leaves nothing
begun = s3.create_multipart_upload(Bucket="uploads", Key="boto/given-up")["UploadId"]
s3.upload_part(Bucket="uploads", Key="boto/given-up", UploadId=begun, PartNumber=1, Body=b"x")
assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket="uploads")["Uploads"]] == [begun]
s3.abort_multipart_upload(Bucket="uploads", Key="boto/given-up", UploadId=begun)
assert "Uploads" not in s3.list_multipart_uploads(Bucket="uploads")
refused("NoSuchUpload", s3.list_parts, Bucket="uploads", Key="boto/given-up", UploadId=begun)
refused("NoSuchKey", s3.get_object, Bucket="uploads", Key="boto/given-up")
