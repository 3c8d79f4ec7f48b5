"""Error codes of services and of what goes through them, a part of the one table."""

from atom.errors import Code

FILE = (
    Code(
        "file.bucket_not_allowed",
        403,
        "The bucket is not one that users may touch.",
        "`config_s3_bucket_list` opens it.",
    ),
    Code(
        "file.key_not_allowed",
        403,
        "The key is in the folder of another user.",
        "Leave the folder out: keys are put in your own.",
    ),
    Code(
        "file.unreadable_key",
        400,
        "The key is not one a file can have here, or there is not one for each file.",
        "See the hint.",
    ),
    Code(
        "file.extension_not_allowed",
        400,
        "A file may not end so, or has no ending.",
        "`config_s3_extension_list`.",
    ),
    Code(
        "file.wrong_content",
        400,
        "The file does not begin as its ending claims.",
        "Give it the ending of what it is.",
    ),
    Code(
        "file.too_large",
        413,
        "One file is larger than `config_s3_upload_max_kb`, or `max_kb` of its column.",
        "Send a smaller one.",
    ),
    Code(
        "file.none", 400, "The form has no file.", "Send at least one part with a file."
    ),
    Code(
        "file.too_many",
        400,
        "The form has more files than `config_s3_upload_max_files`.",
        "Send them in several requests.",
    ),
    Code("file.twice", 400, "Two files of one upload have the same name or key."),
    Code(
        "file.unreadable_url",
        400,
        "A URL does not name a file on S3. Nothing was deleted.",
        "Send it as the upload answered it.",
    ),
    Code("file.unknown_mode", 400, "Not a known operation on a bucket."),
    Code("file.unreadable_bucket", 400, "No bucket can have this name."),
    Code("file.unknown_bucket", 404, "S3 has no such bucket.", "Mode create makes it."),
    Code("file.bucket_exists", 409, "The name of the bucket is taken."),
    Code(
        "file.link_invalid",
        403,
        "The link of a file is not one of this server, or has ended.",
        "Ask for a new one.",
    ),
    Code("file.missing", 404, "There is no such file."),
    Code(
        "file.not_yours",
        422,
        "A column of files takes an upload of the caller that no row has had yet.",
        "Upload the file again, by /private/file-upload.",
    ),
    Code(
        "file.type_not_allowed",
        422,
        "The column does not take files of this type.",
        "`media` of the column lists those that it takes.",
    ),
    Code(
        "file.exists",
        409,
        "There is a file with this key. In a folder none is overwritten.",
        "Choose another key, or none.",
    ),
    Code(
        "file.quota_exceeded",
        413,
        "The files of this user would be larger than `config_file_quota_mb`.",
        "Delete some.",
    ),
    Code(
        "file.bucket_not_empty",
        409,
        "A bucket with files in it cannot be deleted.",
        "Mode empty first.",
    ),
)

SERVICE = (
    Code(
        "mongodb.unknown_database",
        400,
        "Not one of the databases that may be written to.",
        "`config_mongodb_database_list`.",
    ),
    Code(
        "stream.closed_table",
        400,
        "The table may be read, but not followed.",
        "`config_stream_table_list` opens it.",
    ),
    Code(
        "stream.busy",
        503,
        "This process has as many streams as it may.",
        "Try again, or raise `config_stream_max`.",
    ),
    Code(
        "stream.slow",
        503,
        "The reader of a stream, or of a topic, did not keep up.",
        "Read again, then follow; send less by filters and `column`.",
    ),
)
