"""What config sets for files, and which store it chooses."""

from dataclasses import dataclass
from pathlib import Path

from atom.config.resolve import Config, is_production
from atom.config.view import view

LOCAL, S3 = "local", "s3"


@dataclass(frozen=True, slots=True)
class FileConfig:
    """What config sets for files."""

    env: str
    atom_folder: str
    key_jwt: str
    file_store: str | None
    file_folder: str | None
    file_bucket: str | None
    file_link_sec: int
    file_quota_mb: int
    file_orphan_sec: int
    s3_region_name: str | None
    s3_bucket_list: tuple[str, ...]
    s3_extension_list: tuple[str, ...]
    s3_upload_max_kb: int
    s3_presigned_expire_sec: int

    @property
    def store(self) -> str:
        """The store of new files: `s3`, `local`, or "" where none is chosen."""
        if self.file_store:
            return self.file_store
        if self.s3_region_name:
            return S3
        return "" if is_production(self.env) else LOCAL

    def folder(self, root: Path) -> Path:
        """Return the folder of local files, of a project in `root`."""
        return root / (self.file_folder or Path(self.atom_folder) / "file")

    @property
    def buckets(self) -> tuple[str, ...]:
        """The buckets that users may name; a folder has one where none is listed."""
        return self.s3_bucket_list or ((LOCAL,) if self.store == LOCAL else ())


def check(config: Config, root: Path) -> None:
    """Add what is wrong about files to the problems and the remarks of config."""
    given, problems, remarks = view(FileConfig, config), config.problems, config.remarks
    if given.store == LOCAL:
        static = (root / "static").resolve()
        if given.folder(root).resolve().is_relative_to(static):
            problems.append(
                "config_file_folder: it is inside of static/, which anyone may read"
            )
        if is_production(given.env):
            remarks.append(
                "config_file_store=local: files are on this machine alone; with more "
                "than one machine they need s3."
            )
    if given.file_store == S3 and not given.s3_region_name:
        problems.append("config_file_store: s3 needs config_s3_region_name")
