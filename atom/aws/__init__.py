"""AWS: files on S3, text messages by SNS, mail by SES, topics.

boto3 blocks, so every call runs in a thread. Read in this order:

    call    one call to AWS, in a thread; its errors
    key     where a file of a user is put, and what its beginning must look like
    address the URL of an object, and which object a URL names
    bucket  buckets created, opened, emptied, deleted
    upload  files of users
    send    a text message, a mail, a message to a topic
"""

from atom.aws.address import named
from atom.aws.bucket import MODES, delete_keys, delete_urls, operate
from atom.aws.call import Aws, AwsConfig, AwsRefused
from atom.aws.key import Place, made_place, place, shown
from atom.aws.send import publish, send_email, send_sms
from atom.aws.upload import Form, placed, presign, read_form, store, upload

__all__ = [
    "MODES",
    "Aws",
    "AwsConfig",
    "AwsRefused",
    "Form",
    "Place",
    "delete_keys",
    "delete_urls",
    "made_place",
    "named",
    "operate",
    "place",
    "placed",
    "presign",
    "publish",
    "read_form",
    "send_email",
    "send_sms",
    "shown",
    "store",
    "upload",
]
