"""Files on S3 over HTTP: uploads of users, buckets of the operator."""

import base64
import json
import time
from urllib.parse import quote, unquote, urlsplit

import httpx2
import pytest

from tests.acceptance.conftest import serving
from tests.service.aws import REGION, keys

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32
DIRECT, PRESIGNED = (
    "/private/file-upload-s3-direct",
    "/private/file-upload-s3-presigned",
)
BUCKET, OTHER = "atom-files", "atom-other"


PAPER = """
config_postgres_schema = {
    "table": {"paper": ["created_by_id-bigint-0-btree", "scan-file-0-0"]}
}
config_table = {"paper": {"my": "owner"}}
"""


@pytest.fixture(scope="module")
def s3(aws_url):
    """S3 itself, to look at what is stored."""
    import boto3

    made = boto3.session.Session().client(
        "s3",
        region_name=REGION,
        endpoint_url=aws_url,
        aws_access_key_id="looks",
        aws_secret_access_key="looks",
    )
    where = {"LocationConstraint": REGION}
    for bucket in (BUCKET, OTHER, "atom-closed"):
        made.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    return made


@pytest.fixture(scope="module")
def api(tmp_path_factory, s3, aws_url):
    """A server that has two buckets, and takes files of 64 KiB."""
    config = {
        **keys(aws_url),
        "config_s3_bucket_list": f"{BUCKET},{OTHER}",
        "config_s3_upload_max_kb": "64",
        "config_s3_upload_max_files": "3",
        "config_file_orphan_sec": "20",
    }
    folder, paper = tmp_path_factory.mktemp("files"), PAPER
    with serving(folder, config=config, config_paper=paper) as running:
        yield running


@pytest.fixture(scope="module")
def ada(api):
    return api.person()


def sent(api, who, *files, **form):
    """Upload files, each (name, content), as one multipart form."""
    form = {"bucket": BUCKET, **form}
    parts = [(name, (None, value)) for name, value in form.items()]
    parts += [("file", (name, content)) for name, content in files]
    return api.call("POST", DIRECT, who, files=parts)


def presigned(api, who, key, bucket=BUCKET):
    return api.call("POST", PRESIGNED, who, json={"bucket": bucket, "key": key})


def keys_in(s3, bucket, prefix=""):
    page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return {each["Key"] for each in page.get("Contents", ())}


def fetched(s3, url):
    """Return what is stored at a URL that an upload answered."""
    bucket, _, key = urlsplit(url).path[1:].partition("/")
    return s3.get_object(Bucket=bucket, Key=unquote(key))["Body"].read()


def refusal(answer):
    return answer.status_code, answer.json()["code"]


class TestDirect:
    """POST /private/file-upload-s3-direct."""

    def test_files_are_in_the_callers_folder(self, api, ada, s3):
        """One URL for each; the key is new, so nothing is overwritten."""
        answer = sent(api, ada, ("a.png", PNG), ("b b.TXT", b"hello"))
        assert 200 == answer.status_code, answer.text
        found = answer.json()["message"]

        assert ["a.png", "b b.TXT"] == list(found)
        assert PNG == fetched(s3, found["a.png"])
        path = found["a.png"].partition(f"/{BUCKET}/")[2]
        assert path.startswith(f"user_{ada.id}/") and path.endswith(".png")
        head = s3.head_object(Bucket=BUCKET, Key=path)
        assert "image/png" == head["ContentType"]
        again = sent(api, ada, ("a.png", PNG)).json()["message"]
        assert again["a.png"] != found["a.png"]

    def test_keys_are_in_the_callers_folder_however_they_are_written(
        self, api, ada, s3
    ):
        """With the folder or without it, letters of any script."""
        own = f"user_{ada.id}"
        key = f"trip/ä 1.png---{own}/b.png---c.png"
        files = [(f"{n}.png", PNG) for n in range(3)]
        found = sent(api, ada, *files, key=key).json()["message"]

        names = [f"{own}/trip/ä 1.png", f"{own}/b.png", f"{own}/c.png"]
        urls = [
            f"{api.config['config_aws_endpoint_url']}/{BUCKET}/{quote(n)}"
            for n in names
        ]
        assert urls == list(found.values())
        assert set(names) <= keys_in(s3, BUCKET, own)
        assert PNG == fetched(s3, urls[0])

    def test_type_is_that_of_the_ending_and_not_what_the_client_declares(
        self, api, ada, s3
    ):
        """A browser would run a page; a table is downloaded."""
        part = ("file", ("a.csv", b"a,b\n<script>1</script>\n", "text/html"))
        form = {"bucket": BUCKET, "key": "a.csv"}
        answer = api.call("POST", DIRECT, ada, data=form, files=[part])
        head = s3.head_object(Bucket=BUCKET, Key=f"user_{ada.id}/a.csv")

        assert 200 == answer.status_code
        assert ("text/csv", "attachment") == (
            head["ContentType"],
            head["ContentDisposition"],
        )

    @pytest.mark.parametrize(
        "key",
        [
            *(
                "../a.png",
                "a/../../user_1/a.png",
                "..",
                "/a.png",
                "a//b.png",
                "./a.png",
            ),
            *("..%2Fuser_1%2Fa.png", "%2e%2e/a.png", "a\\..\\b.png", "a\n.png"),
            *(".png", "a/.png", "a/ .png", "a\0.png", "user_x/\u202ea.png", "a?.png"),
            *("a#.png", "a./b.png", "a /b.png", "x" * 1000 + ".png"),
        ],
    )
    def test_key_that_leads_elsewhere_is_refused(self, api, ada, s3, key):
        """Up, absolute, escaped, hidden, with what no one sees: 400, both ways."""
        before = keys_in(s3, BUCKET)
        answers = [sent(api, ada, ("a.png", PNG), key=key), presigned(api, ada, key)]

        wrong = (400, "file.unreadable_key")
        assert [wrong, wrong] == [refusal(answer) for answer in answers]
        assert before == keys_in(s3, BUCKET)

    def test_folder_of_another_user_is_refused(self, api, ada, s3):
        """And what only looks like it is a folder in one's own."""
        other = api.person()
        key = f"user_{other.id}/a.png"
        answers = [sent(api, ada, ("a.png", PNG), key=key), presigned(api, ada, key)]

        assert [(403, "file.key_not_allowed")] * 2 == [refusal(a) for a in answers]
        assert set() == keys_in(s3, BUCKET, f"user_{other.id}")
        mine = sent(api, ada, ("a.png", PNG), key=f"user_{ada.id}x/a.png")
        assert f"/user_{ada.id}/user_{ada.id}x/a.png" in mine.text

    @pytest.mark.parametrize("bucket", ["atom-closed", "no-such", "../atom-files", ""])
    def test_bucket_that_is_not_listed_is_refused(self, api, ada, bucket):
        """Whether it exists is not shown."""
        answers = [
            sent(api, ada, ("a.png", PNG), bucket=bucket),
            presigned(api, ada, "a.png", bucket),
        ]

        if bucket:
            closed = (403, "file.bucket_not_allowed")
            assert [closed, closed] == [refusal(answer) for answer in answers]
        else:
            assert [422, 403] == [answer.status_code for answer in answers]

    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("a.exe", b"MZ", (400, "file.extension_not_allowed")),
            ("a.html", b"<p>", (400, "file.extension_not_allowed")),
            ("a.svg", b"<svg>", (400, "file.extension_not_allowed")),
            ("a", PNG, (400, "file.extension_not_allowed")),
            ("a.png.", PNG, (400, "file.extension_not_allowed")),
            ("a.png", b"<html>", (400, "file.wrong_content")),
            ("a.png", b"", (400, "file.wrong_content")),
            ("a.txt", b"MZ\0\0", (400, "file.wrong_content")),
            ("a.txt", b"a" * 65 * 1024, (413, "file.too_large")),
        ],
    )
    def test_file_that_is_not_what_is_allowed_is_refused(
        self, api, ada, s3, name, content, expected
    ):
        """And with it those of the same form, before any is stored."""
        before = keys_in(s3, BUCKET)
        answer = sent(api, ada, ("good.txt", b"x"), (name, content))

        assert expected == refusal(answer)
        assert before == keys_in(s3, BUCKET)

    def test_the_ending_of_the_key_counts(self, api, ada):
        """Not the one of the file's name: the key is what is fetched."""
        answer = sent(api, ada, ("a.png", PNG), key="a.exe")

        assert (400, "file.extension_not_allowed") == refusal(answer)

    def test_form_without_what_it_needs_is_refused(self, api, ada):
        """No file, too many, one name twice, one key twice, fewer keys than files."""
        two = [("a.txt", b"1"), ("b.txt", b"2")]
        answers = [
            sent(api, ada),
            sent(api, ada, *[(f"{n}.txt", b"x") for n in range(4)]),
            sent(api, ada, ("a.txt", b"1"), ("a.txt", b"2")),
            sent(api, ada, *two, key="a.txt---a.txt"),
            sent(api, ada, *two, key="a.txt"),
        ]

        expected = ["none", "too_many", "twice", "twice", "unreadable_key"]
        assert [f"file.{word}" for word in expected] == [
            answer.json()["code"] for answer in answers
        ]
        assert {400} == {answer.status_code for answer in answers}
        broken = api.call(
            "POST",
            DIRECT,
            ada,
            content=b"no parts",
            headers={"content-type": "multipart/form-data; boundary=x"},
        )
        assert broken.status_code in {400, 422}

    def test_stranger_is_refused(self, api):
        """Uploads belong to somebody."""
        answers = [sent(api, None, ("a.png", PNG)), presigned(api, None, "a.png")]

        assert [401, 401] == [answer.status_code for answer in answers]


class TestHeld:
    """Files of rows, on S3."""

    def test_row_has_a_file_that_no_key_of_a_user_leads_to(self, api, ada, s3):
        """The link is signed by S3, and saves the file under its name."""
        form = {"file": ("t\u00e4.csv", b"a,b\n")}
        (made,) = api.message("POST", "/private/file-upload", ada, files=form)
        body = {"scan": made["id"]}
        row_id = api.message("POST", "/my/rows/paper", ada, json=body)
        found = api.message("GET", f"/my/rows/paper/{row_id}/file/scan", ada)
        answer = httpx2.get(found["url"])

        assert (200, b"a,b\n") == (answer.status_code, answer.content)
        saved = "attachment; filename*=UTF-8''t%C3%A4.csv"
        assert saved == answer.headers["content-disposition"]
        assert "text/csv" == answer.headers["content-type"]
        (key,) = keys_in(s3, BUCKET, f"held_{ada.id}/")
        assert f"user_{ada.id}/{key}" in sent(api, ada, ("a.csv", b"x"), key=key).text
        assert b"a,b\n" == httpx2.get(found["url"]).content
        api.message("DELETE", f"/my/rows/paper/{row_id}", ada)
        back = "orphaned_at = orphaned_at - interval '1 day'"
        api.sql(f"update atom.file set {back} where id = $1", made["id"])
        until = time.monotonic() + 30
        while keys_in(s3, BUCKET, f"held_{ada.id}/") and time.monotonic() < until:
            time.sleep(0.2)
        assert set() == keys_in(s3, BUCKET, f"held_{ada.id}/")
        assert [] == api.sql("select 1 from atom.file where id = $1", made["id"])

    def test_link_and_deletion_of_a_file_in_a_folder(self, api, ada, s3):
        """By its URL, of the caller's own folder alone."""
        found = sent(api, ada, ("a.txt", b"own")).json()["message"]
        body = {"url": found["a.txt"]}
        other = api.person()
        for path in ("/private/file-link", "/private/file-delete"):
            answer = api.call("POST", path, other, json=body)
            assert (403, "file.key_not_allowed") == refusal(answer)
        link = api.message("POST", "/private/file-link", ada, json=body)
        assert b"own" == httpx2.get(link["url"]).content
        assert "done" == api.message("POST", "/private/file-delete", ada, json=body)
        key = body["url"].partition(f"/{BUCKET}/")[2]
        assert key.startswith("user_") and not keys_in(s3, BUCKET, key)


class TestPresigned:
    """POST /private/file-upload-s3-presigned."""

    def test_form_stores_a_file_and_binds_what_it_may_be(self, api, ada, s3):
        """Key, type and size are conditions that S3 checks by the signature."""
        form = presigned(api, ada, "a.png").json()["message"]
        policy = json.loads(base64.b64decode(form["fields"]["policy"]))["conditions"]
        posted = httpx2.post(form["url"], data=form["fields"], files={"file": PNG})

        key = f"user_{ada.id}/a.png"
        assert key == form["fields"]["key"]
        assert {"key": key} in policy and {"bucket": BUCKET} in policy
        assert {"Content-Type": "image/png"} in policy
        assert ["content-length-range", 1, 64 * 1024] in policy
        assert 204 == posted.status_code, posted.text
        assert PNG == fetched(s3, form["url_final"])

    def test_ending_is_checked(self, api, ada):
        """As for a direct upload."""
        answer = presigned(api, ada, "a.html")

        assert (400, "file.extension_not_allowed") == refusal(answer)


class TestOperator:
    """/root/s3-bucket-ops and /root/s3-url-delete."""

    def operate(self, api, mode, bucket):
        body = {"mode": mode, "bucket": bucket}
        return api.call("POST", "/root/s3-bucket-ops", "root", json=body)

    def delete(self, api, *urls):
        body = {"url": "---".join(urls)}
        return api.call("DELETE", "/root/s3-url-delete", "root", json=body)

    def test_bucket_is_created_opened_emptied_and_deleted(self, api, s3):
        """Each says what stands in its way."""
        name = "atom-made"
        assert "done" == self.operate(api, "create", name).json()["message"]
        assert (409, "file.bucket_exists") == refusal(self.operate(api, "create", name))
        s3.put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": "Enabled"}
        )
        for _ in range(2):
            s3.put_object(Bucket=name, Key="a.txt", Body=b"x")
        s3.delete_object(Bucket=name, Key="a.txt")
        s3.create_multipart_upload(Bucket=name, Key="half.txt")
        assert 200 == self.operate(api, "public", name).status_code
        policy = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])
        assert ["s3:GetObject"] == [each["Action"] for each in policy["Statement"]]
        kept = self.operate(api, "delete", name)
        assert (409, "file.bucket_not_empty") == refusal(kept)
        emptied = self.operate(api, "empty", name).json()
        assert ("done", 3) == (emptied["message"], emptied["count"])
        assert [] == s3.list_multipart_uploads(Bucket=name).get("Uploads", [])
        assert 200 == self.operate(api, "delete", name).status_code
        gone = self.operate(api, "empty", name)
        assert (404, "file.unknown_bucket") == refusal(gone)

    @pytest.mark.parametrize("bucket", ["A", "a b", "../x", "a/b", "", "ab"])
    def test_name_no_bucket_can_have_is_refused(self, api, bucket):
        """Before S3 is asked."""
        for mode in ("create", "public", "empty", "delete"):
            answer = self.operate(api, mode, bucket)
            assert (400, "file.unreadable_bucket") == refusal(answer)

    def test_mode_that_is_none_is_refused(self, api):
        """With the nearest right word."""
        answer = self.operate(api, "emty", BUCKET)

        assert (400, "file.unknown_mode") == refusal(answer)
        assert "empty" in answer.json()["hint"]

    def test_exactly_those_keys_are_deleted(self, api, s3):
        """Of several buckets; what only begins like one stays."""
        base = api.config["config_aws_endpoint_url"]
        for bucket, key in [(BUCKET, "d/ä+1.txt"), (BUCKET, "d"), (OTHER, "d/%41.txt")]:
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        s3.put_object(Bucket=BUCKET, Key="d/ä+1.txt2", Body=b"x")
        answer = self.delete(
            api,
            f"{base}/{BUCKET}/d/%C3%A4+1.txt",
            f"https://{OTHER}.s3.{REGION}.amazonaws.com/d/%2541.txt",
        )

        assert ("done", 2) == (answer.json()["message"], answer.json()["count"])
        assert {"d", "d/ä+1.txt2"} == keys_in(s3, BUCKET, "d")
        assert set() == keys_in(s3, OTHER, "d")

    @pytest.mark.parametrize(
        "spelt",
        [
            "https://{b}.s3.amazonaws.com/s.txt",
            "https://{b}.s3.eu-west-1.amazonaws.com/s.txt",
            "https://{b}.s3.dualstack.eu-west-1.amazonaws.com/s.txt",
            "https://s3.eu-west-1.amazonaws.com/{b}/s.txt",
            "https://s3.amazonaws.com/{b}/s.txt",
            "https://S3.AMAZONAWS.COM/{b}/s.txt",
        ],
    )
    def test_every_spelling_of_a_url_names_its_file(self, api, s3, spelt):
        """Bucket in the host or in the path."""
        s3.put_object(Bucket=BUCKET, Key="s.txt", Body=b"x")
        assert 200 == self.delete(api, spelt.format(b=BUCKET)).status_code

        assert "s.txt" not in keys_in(s3, BUCKET)

    @pytest.mark.parametrize(
        ("url", "code"),
        [
            ("https://atom-closed.s3.amazonaws.com/k", "bucket_not_allowed"),
            ("https://s3.amazonaws.com/atom-closed/k", "bucket_not_allowed"),
            ("https://evil.example/atom-files/k", "unreadable_url"),
            ("https://atom-files.s3.amazonaws.com.evil.example/k", "unreadable_url"),
            ("https://x@evil.example/atom-files/k", "unreadable_url"),
            ("https://atom-files.s3.amazonaws.com/k?versionId=1", "unreadable_url"),
            ("https://atom-files.s3.amazonaws.com/", "unreadable_url"),
            ("https://s3.amazonaws.com/atom-files", "unreadable_url"),
            ("ftp://atom-files.s3.amazonaws.com/k", "unreadable_url"),
            ("k", "unreadable_url"),
            ("", "unreadable_url"),
            ("https://[", "unreadable_url"),
        ],
    )
    def test_one_url_that_is_wrong_keeps_all_files(self, api, s3, url, code):
        """Nothing is deleted before all are read."""
        s3.put_object(Bucket=BUCKET, Key="kept.txt", Body=b"x")
        good = f"https://{BUCKET}.s3.amazonaws.com/kept.txt"
        answer = self.delete(api, good, url) if url else self.delete(api, url)

        assert f"file.{code}" == answer.json()["code"]
        assert "kept.txt" in keys_in(s3, BUCKET)

    def test_only_root_may(self, api, ada):
        """A user's token is not the root key."""
        for method, path in (
            ("POST", "/root/s3-bucket-ops"),
            ("DELETE", "/root/s3-url-delete"),
        ):
            assert 401 == api.call(method, path, ada, json={}).status_code
