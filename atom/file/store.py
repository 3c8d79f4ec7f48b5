"""Uploads, links and deletions, in the store that config chooses."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from starlette.datastructures import UploadFile

from atom import aws
from atom.aws import Aws, Place
from atom.errors import ApiError, Forbidden, NotFound, Unavailable, nearest
from atom.file import record
from atom.file.config import LOCAL, S3, FileConfig
from atom.file.disk import Disk
from atom.file.link import Signer
from atom.file.serve import LocalFile, disposition
from atom.postgres.database import Database
from atom.task import ended

log = logging.getLogger(__name__)

READ, WRITE = "read", "write"  # what a signed word is for
READ_PATH, WRITE_PATH = "/public/file", "/public/file-receive"
SWEEP_SECONDS = 600.0
AT_ONCE = 100


class Files:
    """The files of users."""

    def __init__(
        self, config: FileConfig, root: Path, services: Aws, database: Database
    ) -> None:
        self.config = config
        self.aws = services
        self.database = database
        self.disk = Disk(config.folder(root))
        self.signer = Signer(config.key_jwt)

    def bucket(self, name: str) -> str:
        """Return a bucket that users may name.

        Raises:
            Unavailable: `client.missing`, where config chooses no store.
            Forbidden: `file.bucket_not_allowed`.
        """
        self._require_store()
        if name in self.config.buckets:
            return name
        raise Forbidden(
            f"The bucket '{aws.shown(name)}' is not open.",
            code="file.bucket_not_allowed",
            hint=nearest(name[:60], self.config.buckets)
            or "config_s3_bucket_list opens it.",
        )

    def _require_store(self) -> str:
        if not self.config.store:
            raise Unavailable(
                "There is no store for files.",
                hint="Set config_s3_region_name, or config_file_store=local.",
            )
        return self.config.store

    async def upload(
        self,
        base: str,
        user_id: int,
        bucket: str,
        files: Sequence[UploadFile],
        keys: str = "",
    ) -> dict[str, str]:
        """Store files in the folder of a user. Return the URL of each by its name.

        `base` is the address of this server, for the links of local files.

        Raises:
            ApiError: as `aws.placed`.
            Forbidden: `file.bucket_not_allowed`.
            Conflict: `file.exists`, of a local file.
            TooLarge: `file.quota_exceeded`.
        """
        bucket = self.bucket(bucket)
        if self.config.store == S3:
            return await aws.upload(self.aws, user_id, bucket, files, keys)
        places = aws.placed(self.aws.config, user_id, files, keys)
        made = await self.put(user_id, bucket, files, places, is_kept=True)
        return {
            file.filename or "": self._signed(base, bucket, each.key, each.name)["url"]
            for file, each in zip(files, made, strict=True)
        }

    async def upload_loose(
        self, user_id: int, files: Sequence[UploadFile]
    ) -> list[dict[str, Any]]:
        """Store files that a row may hold from now on. Return id, name, type and size.

        Raises:
            ApiError: as `aws.placed`.
            TooLarge: `file.quota_exceeded`.
        """
        bucket = LOCAL
        if self._require_store() == S3:
            listed = (self.config.file_bucket, *self.config.s3_bucket_list)
            bucket = next(filter(None, listed), "")
            if not bucket:
                raise Unavailable(
                    "There is no bucket for files that rows hold.",
                    hint="Set config_file_bucket.",
                )
        # In a folder that no key of a user leads to.
        places = [
            replace(each, key=f"held_{each.key.removeprefix('user_')}")
            for each in aws.placed(self.aws.config, user_id, files, by_name=False)
        ]
        made = await self.put(user_id, bucket, files, places, is_kept=False)
        names = ("id", "name", "media_type", "size")
        return [{name: getattr(each, name) for name in names} for each in made]

    async def held(
        self, value: Any, table: str, column: str, key: str
    ) -> Mapping[str, Any]:
        """Return the record of a file that exactly this row holds by this column.

        Raises:
            NotFound: `file.missing`.
        """
        try:
            file_id = UUID(value)
        except (TypeError, ValueError):  # null, or a column that is not a uuid yet
            raise missing() from None
        found: Mapping[str, Any] | None = await record.held(
            self.database, file_id, table, column, key
        )
        if found is None:
            raise missing()
        return found

    async def link_of(self, base: str, held: Mapping[str, Any]) -> dict[str, Any]:
        """Return the link of a file that a row holds, with what the file is."""
        place = (held["store"], held["bucket"], held["key"])
        link = await self.link(base, *place, held["name"])
        return {**link, **{name: held[name] for name in ("name", "media_type", "size")}}

    async def put(
        self,
        user_id: int,
        bucket: str,
        files: Sequence[UploadFile],
        places: Sequence[Place],
        *,
        is_kept: bool,
    ) -> list[record.New]:
        """Store files, all or none, and record them.

        Raises:
            Conflict: `file.exists`.
            TooLarge: `file.quota_exceeded`.
        """
        store = self._require_store()
        found = [
            record.New(
                uuid4(),
                place.key,
                plain_name(file.filename or "", place.extension),
                place.content_type,
                file.size or 0,
            )
            for file, place in zip(files, places, strict=True)
        ]
        ids = [each.id for each in found]
        quota = self.config.file_quota_mb
        await record.reserve(self.database, user_id, (store, bucket), found, quota)
        done: list[Place] = []
        try:
            for file, place in zip(files, places, strict=True):
                done.append(place)
                if store == S3:
                    await aws.store(self.aws, bucket, file.file, place)
                    continue
                work = partial(self.disk.write, bucket, place.key, file.file)
                try:
                    await asyncio.to_thread(work)
                except FileExistsError:  # that file is not ours to undo
                    done.pop()
                    raise record.taken() from None
                except OSError as error:  # no place left, no right to write
                    log.exception("files: %s does not take a file", self.disk.folder)
                    raise Unavailable(
                        "The store of files does not take any at the moment.",
                        code="client.silent",
                        hint="The log has the cause; see config_file_folder.",
                    ) from error
            if await record.stored(self.database, ids, is_kept=is_kept):
                return found
            raise Unavailable("The upload took too long.", code="client.silent")
        except BaseException:
            # Where this fails too, the records are left for the sweep.
            await asyncio.shield(self._undo(store, bucket, done, ids))
            raise

    async def _undo(
        self, store: str, bucket: str, places: Sequence[Place], ids: Sequence[Any]
    ) -> None:
        try:
            for place in places:
                await self._remove(store, bucket, place.key)
            await record.forget(self.database, ids)
        except (ApiError, OSError) as error:
            log.warning("files: an upload that failed is left to be swept: %s", error)

    def presign(self, base: str, user_id: int, bucket: str, key: str) -> dict[str, Any]:
        """Return a form by which a browser stores one local file, as S3's."""
        bucket = self.bucket(bucket)
        place = aws.place(user_id, key, self.config.s3_extension_list)
        what = {"user": user_id, "bucket": bucket, "key": place.key}
        seconds = self.config.s3_presigned_expire_sec
        word, _ = self.signer.sign(WRITE, seconds, **what)
        return {
            "url": f"{base}{WRITE_PATH}?token={word}",
            "fields": {"key": place.key},
            "url_final": self._signed(base, bucket, place.key, "")["url"],
        }

    async def link(
        self, base: str, store: str, bucket: str, key: str, name: str = ""
    ) -> dict[str, str]:
        """Return `url` and `expires_at` of a file, saved under `name`."""
        if store == LOCAL:
            return self._signed(base, bucket, key, name)
        seconds = self.config.file_link_sec
        until = datetime.now(UTC).timestamp() + seconds
        extension = key.rpartition(".")[2].lower()
        place = Place(key, extension)
        about = {
            "ResponseContentDisposition": disposition(name or _last(key), extension),
            "ResponseContentType": place.content_type,
            "ResponseCacheControl": f"private, max-age={seconds}",
        }
        made: str = self.aws.client("s3").generate_presigned_url(
            "get_object",
            Params={"Bucket": bucket, "Key": key, **about},
            ExpiresIn=seconds,
        )
        return {"url": made, "expires_at": _moment(until)}

    def _signed(self, base: str, bucket: str, key: str, name: str) -> dict[str, str]:
        what = {"bucket": bucket, "key": key, "name": name}
        word, until = self.signer.sign(READ, self.config.file_link_sec, **what)
        url = f"{base}{READ_PATH}?token={word}"
        return {"url": url, "expires_at": _moment(until)}

    async def own_link(self, base: str, user_id: int, url: str) -> dict[str, str]:
        """Return a new link of a file in the folder of a user, by an earlier URL.

        Raises:
            ApiError: `file.unreadable_url`, `file.link_invalid`.
            Forbidden: `file.key_not_allowed`.
        """
        store, bucket, key = self._own(user_id, url)
        return await self.link(base, store, bucket, key)

    async def delete_own(self, user_id: int, url: str) -> None:
        """Delete a file in the folder of a user, by its URL.

        Raises:
            ApiError: `file.unreadable_url`, `file.link_invalid`.
            Forbidden: `file.key_not_allowed`.
            NotFound: `file.missing`.
        """
        store, bucket, key = self._own(user_id, url)
        if store == S3:
            return await aws.delete_keys(self.aws, bucket, (key,))
        found = await record.mark_one(self.database, store, bucket, key)
        if not found:
            raise missing()
        await self._sweep(found)

    def _own(self, user_id: int, url: str) -> tuple[str, str, str]:
        _, is_signed, word = url.partition(f"{READ_PATH}?token=")
        if is_signed:
            found = self.signer.verify(READ, word, even_ended=True)
            store, bucket, key = LOCAL, found["bucket"], found["key"]
        else:
            store = S3
            bucket, key = aws.named(self.aws.config, url)
            self.bucket(bucket)
        if not key.startswith(f"user_{user_id}/"):
            raise Forbidden(
                "That file is not in your folder.", code="file.key_not_allowed"
            )
        return store, bucket, key

    def may_write(self, word: str) -> tuple[int, str, str]:
        """Return the user, the bucket and the key that a form was made for.

        Raises:
            ApiError: `file.link_invalid`.
        """
        found = self.signer.verify(WRITE, word)
        return found["user"], found["bucket"], found["key"]

    async def answer(self, word: str) -> LocalFile:
        """Return the local file that a link opens.

        Raises:
            ApiError: `file.link_invalid`.
            NotFound: `file.missing`.
        """
        found = self.signer.verify(READ, word)
        bucket, key = found["bucket"], found["key"]
        place = Place(key, key.rpartition(".")[2].lower())
        left = max(0, found["until"] - int(datetime.now(UTC).timestamp()))
        headers = {
            "content-disposition": disposition(
                found["name"] or _last(key), place.extension
            ),
            "cache-control": f"private, max-age={left}",
        }
        try:
            number = await asyncio.to_thread(self.disk.open, bucket, key)
        except FileNotFoundError:
            raise missing() from None
        return LocalFile(number, place.content_type, headers)

    async def _remove(self, store: str, bucket: str, key: str) -> None:
        if store == S3:
            return await aws.delete_keys(self.aws, bucket, (key,))
        await asyncio.to_thread(self.disk.delete, bucket, key)

    async def _sweep(self, found: Sequence[Mapping[str, Any]]) -> None:
        for each in found:
            await self._remove(each["store"], each["bucket"], each["key"])
            await record.forget(self.database, [each["id"]])

    async def sweep(self) -> None:
        """Delete the files that nothing has held for longer than config has it."""
        seconds = self.config.file_orphan_sec
        if not await self.database.value(record.IS_THERE):
            return  # before `schema apply`, at the first start of all
        while found := await record.mark_orphans(self.database, seconds, AT_ONCE):
            for each in found:
                try:
                    await self._sweep([each])
                except (ApiError, OSError) as error:  # marked again later
                    log.warning("files: %s is not deleted: %s", each["id"], error)
        if self.config.store == LOCAL:
            await asyncio.to_thread(self.disk.clear)

    @asynccontextmanager
    async def swept(self) -> AsyncIterator[None]:
        """Sweep now and again, until the block ends."""
        task = asyncio.create_task(self._sweep_always(), name="files")
        try:
            yield
        finally:
            await ended([task])

    async def _sweep_always(self) -> None:
        pause = min(SWEEP_SECONDS, max(1.0, self.config.file_orphan_sec / 4))
        while True:
            try:
                await self.sweep()
            except (ApiError, OSError) as error:
                log.warning("files: not swept: %s", error)
            await asyncio.sleep(pause)


def plain_name(name: str, extension: str) -> str:
    r"""Return the last part of a file's name, without what no one sees, and not long.

    >>> plain_name("C:\\a/b\x00\u202egnp.png", "png")
    'bgnp.png'
    """
    last = _last(name.replace("\\", "/"))
    shown = "".join(each for each in last if each.isprintable())
    return shown[:200] if len(shown) <= 200 else f"{shown[:190]}.{extension}"


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def missing() -> NotFound:
    """Return the error for a file that is not there."""
    return NotFound("There is no such file.", code="file.missing")
