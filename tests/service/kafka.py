"""Kafka: one broker that is its own controller, of the Java registry's artifacts.

Without Java and Maven librdkafka's mock cluster stands in: it knows neither topics that
are made by hand nor a second member of a group, and keeps nothing.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.served import free_port
from tests.service.cache import built, need, run
from tests.service.server import AbsentError, Server
from tests.web import KEY

VERSION = "4.1.0"
JAVA = ("java", "-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
CLASSES, DATA, SETTINGS_FILE = "classes.jsa", "data", "server.properties"
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"
SASL = "sasl"  # a file: where the broker asks who it is, of which it knows me
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>atom</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
"""
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{at}:{controller}
listeners=PLAINTEXT://{at}:{port},SASL://{at}:{sasl},CONTROLLER://{at}:{controller}
advertised.listeners=PLAINTEXT://{at}:{port},SASL://{at}:{sasl}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,\
  CONTROLLER:PLAINTEXT
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config={login} required user_me="{key}";
log.dirs={folder}
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=200
broker.session.timeout.ms=1000
"""
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
LOGGING = """\
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %m (%c)%n
"""
MOCK = """
import pathlib, sys, threading
import confluent_kafka as ck
p = ck.Producer({"bootstrap.servers": "x:1", "test.mock.num.brokers": 1})
brokers = p.list_topics(timeout=10).brokers.values()
new = pathlib.Path("url.new")
new.write_text(",".join(f"{one.host}:{one.port}" for one in brokers))
new.rename("url")
threading.Event().wait()
"""


def make(folder: Path) -> None:
    """Fetch the broker and what it needs."""
    need("java", "mvn")
    (folder / "pom.xml").write_text(POM)
    words = ("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib")
    run(*words, "-DincludeScope=runtime", cwd=folder)


def made() -> tuple[Path, Path]:
    """Return the folder of jars, and that of a broker that was started once.

    It left its classes as the JVM maps them, which is a third of a start, and its
    formatted data, which is another one.
    """
    need("java")
    jars = built(f"kafka-{VERSION}", make) / "lib"
    version = run("java", "--version", cwd=jars).split()[1]

    def start_once(folder: Path) -> None:
        dump = f"-XX:ArchiveClassesAtExit={folder / CLASSES}"
        server, storage = broker(folder, jars), ("format", "-t", CLUSTER, "-c")
        words = [*server.command[:-2], "kafka.tools.StorageTool", *storage]
        run(*words, folder / SETTINGS_FILE, cwd=folder)
        shutil.copytree(folder / DATA, folder / "formatted")
        server.command = ["java", dump, *server.command[1:]]
        server.start()
        server.stop()
        shutil.rmtree(folder / DATA)
        (folder / "formatted").rename(folder / DATA)

    return jars, built(f"kafka-{VERSION}-java-{version}", start_once)


def broker(folder: Path, jars: Path, *options: str) -> Server:
    """Write the settings of a broker, on ports of its own."""
    port, sasl = free_port(), free_port()
    settings, logging = folder / SETTINGS_FILE, folder / "log4j2.properties"
    ports = {"port": port, "sasl": sasl, "controller": free_port()}
    place = {"at": "127.0.0.1", "folder": folder / DATA}
    settings.write_text(SETTINGS.format(login=LOGIN, key=KEY, **place, **ports))
    (folder / SASL).write_text(f"127.0.0.1:{sasl}")
    logging.write_text(LOGGING)
    words = [*JAVA, *options, f"-Dlog4j2.configurationFile={logging}"]
    return Server(
        what=f"Kafka {VERSION}",
        url=f"127.0.0.1:{port}",
        command=[*words, "-cp", f"{jars}/*", "kafka.Kafka", settings],
        folder=folder,
        port=port,
    )


@contextmanager
def kafka(folder: Path) -> Iterator[Server]:
    """Build a broker on a formatted folder."""
    try:
        jars, first = made()
    except AbsentError as error:
        yield mock(folder, str(error))
        return
    shutil.copytree(first / DATA, folder / DATA)
    yield broker(folder, jars, f"-XX:SharedArchiveFile={first / CLASSES}")


def mock(folder: Path, why: str) -> Server:
    """Build librdkafka's mock cluster, which picks its port."""

    def announced(server: Server) -> bool:
        found = folder / "url"
        if found.exists():
            server.url = found.read_text()
            server.port = int(server.url.rpartition(":")[2])
        return found.exists()

    return Server(
        what="librdkafka's mock cluster",
        url="",
        command=[sys.executable, "-c", MOCK],
        folder=folder,
        port=0,
        ready=announced,
        state="stood in",
        why=why,
    )
