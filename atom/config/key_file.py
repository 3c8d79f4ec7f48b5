"""The keys of files. Those of S3, and what a file may be, are in atom/client/aws.py."""

from atom.config.parse import one_of, text, whole
from atom.config.resolve import Key

FILE = (
    Key(
        "config_file_store",
        one_of("local", "s3"),
        None,
        "Where uploads are kept: s3, or local, a folder of this machine that its "
        "workers share. Unset: s3 when config_s3_region_name is set, else local, but "
        "in production neither.",
    ),
    Key(
        "config_file_folder",
        text,
        None,
        "The folder of local. Unset: file in config_atom_folder.",
    ),
    Key(
        "config_file_bucket",
        text,
        None,
        "The bucket of files that rows hold; one that is public would open them. "
        "Unset: the first of config_s3_bucket_list.",
    ),
    Key(
        "config_file_link_sec",
        whole(1, 604_800),
        300,
        "Seconds that the link of a file is good. It opens the file to who has it.",
    ),
    Key(
        "config_file_quota_mb",
        whole(0, 100_000_000),
        1024,
        "Most MiB of files of one user. 0: any number.",
    ),
    Key(
        "config_file_orphan_sec",
        whole(1, 31_536_000),
        86_400,
        "Seconds until a file is deleted that no row holds.",
    ),
)
