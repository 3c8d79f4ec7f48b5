// The read of the bench on Fastify and postgres.js: one process, a pool as large.

import Fastify from "fastify";
import postgres from "postgres";

const type = (oid, parse) => ({ to: oid, from: [oid], serialize: String, parse });
// A Date would lose the microseconds.
const iso = (text) => `${text.replace(" ", "T")}:00`;
const sql = postgres({
  ...JSON.parse(process.env.bench_postgres),
  max: 20,
  types: { bigint: type(20, Number), numeric: type(1700, Number), time: type(1184, iso) },
  connection: { timezone: "UTC" },
});
const app = Fastify();

app.get("/", async () => ({ status: "ok" }));
app.get("/public/object-read", async (request) => {
  const limit = Number(request.query.limit ?? 100);
  const rows = await sql`select * from test order by id desc limit ${limit}`;
  return { status: 1, message: rows };
});
await app.listen({ host: "127.0.0.1", port: Number(process.env.config_port) });
