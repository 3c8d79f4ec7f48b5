"""AWS: files on S3, text messages by SNS, mail by SES, topics.

boto3 blocks, so every call runs in a thread. Read in this order:

    call    one call to AWS, in a thread; its errors
    key     where a file of a user is put, and what its beginning must look like
    address the URL of an object, and which object a URL names
    bucket  buckets created, opened, emptied, deleted
    upload  files of users
    send    a text message, a mail, a message to a topic
"""

from atom.aws.bucket import MODES, delete_urls, operate
from atom.aws.call import Aws, AwsConfig, AwsRefused
from atom.aws.send import publish, send_email, send_sms
from atom.aws.upload import presign, read_form, upload

__all__ = [
    "MODES",
    "Aws",
    "AwsConfig",
    "AwsRefused",
    "delete_urls",
    "operate",
    "presign",
    "publish",
    "read_form",
    "send_email",
    "send_sms",
    "upload",
]
