# Two tenants' keys at the same door; each answer is checked here. Arguments: the endpoint, then of each tenant the pairs of
# an uploader, a viewer and an admin.
import sys

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError


def client(pair):
    access, secret = pair.split(":")
    config = Config(signature_version="s3v4", retries={"max_attempts": 0})
    return boto3.client(
        "s3", endpoint_url=sys.argv[1], config=config, region_name="local",
        aws_access_key_id=access, aws_secret_access_key=secret,
    )


def refused(call, **args):
    try:
        call(**args)
    except ClientError as e:
        assert other not in str(e).replace(str(args), ""), e
        return e.response["ResponseMetadata"]["HTTPStatusCode"], e.response["Error"]["Code"]
    raise AssertionError("%s %s was allowed" % (call.__name__, args))


keys = [client(pair) for pair in sys.argv[2:]]
for name, other, (uploader, viewer, admin) in [("acme", "beta", keys[:3]), ("beta", "acme", keys[3:])]:
    home, away = name + "-in", other + "-in"
    uploader.put_object(Bucket=home, Key="mine.txt", Body=b"of %s\n" % name.encode())
    admin.put_object(Bucket=home, Key="boss.txt", Body=b"the boss's\n")
    for s3 in (uploader, viewer, admin):
        assert s3.get_object(Bucket=home, Key="mine.txt")["Body"].read() == b"of %s\n" % name.encode()
        buckets = [b["Name"] for b in s3.list_buckets()["Buckets"]]
        assert buckets == [home, name + "-out"], buckets
        for bucket in (away, "no-such-bucket"):
            assert refused(s3.get_object, Bucket=bucket, Key="mine.txt") == (404, "NoSuchBucket")
            assert refused(s3.list_objects_v2, Bucket=bucket) == (404, "NoSuchBucket")
            assert refused(s3.head_bucket, Bucket=bucket)[0] == 404
        assert refused(s3.create_bucket, Bucket=away) == (403, "AccessDenied")
        assert refused(s3.create_bucket, Bucket="entirely-new") == (403, "AccessDenied")
    for bucket in (away, "no-such-bucket"):
        for s3 in (uploader, admin):
            assert refused(s3.put_object, Bucket=bucket, Key="x", Body=b"x") == (404, "NoSuchBucket")
            source = {"Bucket": bucket, "Key": "mine.txt"}
            assert refused(s3.copy_object, Bucket=home, Key="stolen", CopySource=source) == (404, "NoSuchBucket")
    seen = [o["Key"] for o in uploader.list_objects_v2(Bucket=home)["Contents"]]
    assert seen == ["mine.txt"], seen
    assert [o["Key"] for o in viewer.list_objects_v2(Bucket=home)["Contents"]] == ["boss.txt", "mine.txt"]
    assert refused(uploader.get_object, Bucket=home, Key="boss.txt") == (404, "NoSuchKey")
    assert refused(uploader.put_object, Bucket=home, Key="boss.txt", Body=b"x") == (403, "AccessDenied")
    assert refused(viewer.put_object, Bucket=home, Key="new", Body=b"x") == (403, "AccessDenied")
    assert refused(viewer.delete_object, Bucket=home, Key="mine.txt") == (403, "AccessDenied")
    uploader.delete_object(Bucket=home, Key="boss.txt")
    admin.head_object(Bucket=home, Key="boss.txt")
    upload = uploader.create_multipart_upload(Bucket=home, Key="parts")["UploadId"]
    part = uploader.upload_part(Bucket=home, Key="parts", PartNumber=1, UploadId=upload, Body=b"part\n")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    uploader.complete_multipart_upload(Bucket=home, Key="parts", UploadId=upload, MultipartUpload=parts)
    # links that clients sign themselves carry the rights of the pair
    import urllib.request
    link = uploader.generate_presigned_url("get_object", Params={"Bucket": home, "Key": "mine.txt"})
    assert urllib.request.urlopen(link).read() == b"of %s\n" % name.encode()
