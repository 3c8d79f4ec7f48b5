// What a developer writes against the types made of /openapi.json: it must compile,
// and it must do what it says. The rows it made go to standard output as JSON.
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema.ts";

declare const process: { argv: string[] };
declare const console: { log(text: string): void };

type TestCreate = components["schemas"]["test_create"];
type TestRow = components["schemas"]["test_row"];
type Failure = components["schemas"]["Failure"];

const [, , baseUrl = "", username = "", password = ""] = process.argv;
const client = createClient<paths>({ baseUrl });

function message<T>(answer: { data?: { message: T } | undefined; error?: Failure }): T {
  if (answer.data === undefined) throw new Error(answer.error?.message ?? "no answer");
  return answer.data.message;
}

const token = message(
  await client.POST("/auth/signup", { body: { type: 1, username, password } }),
);
const authorize: Middleware = {
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${token}`);
  },
};
client.use(authorize);

const [first, second] = ["first", "second"].map((word) => `${word} of ${username}`);
const made = message(
  await client.POST("/my/rows/test", {
    body: [
      { title: first ?? "", rating: 1.5, tag: ["a", null], metadata: { deep: [1] } },
      { title: second ?? "", location: { type: "Point", coordinates: [77.2, 28.6] } },
    ] satisfies TestCreate[],
  }),
);
if (!Array.isArray(made)) throw new Error("a list was asked, one id came");
// With return=row it would be rows.
const created = made.map((one) => (typeof one === "object" ? (one.id ?? 0) : one));

const changed = message(
  await client.PUT("/my/rows/test", { body: { id: created[0] ?? 0, rating: null } }),
);

const { data: page } = await client.GET("/my/rows/test", {
  params: {
    query: {
      title: [`ilike,%${username}`],
      id: [`>=,${created[0]}`, `<=,${created[1]}`],
      order: "id",
      limit: 1,
      cursor: "",
      is_count: "1",
    },
  },
});
const rows: TestRow[] = page?.message ?? [];
const title: string | null | undefined = rows[0]?.title;
const count: number | undefined = page?.count;
const next: string | null | undefined = page?.next_cursor;

const deleted: number = message(
  await client.DELETE("/my/rows/test", {
    params: { query: { id: [`in,${created.join("|")}`] } },
  }),
);

const { error, response } = await client.PUT("/my/rows/test", {
  body: { id: created[0] ?? 0, title: "gone" },
});

console.log(
  JSON.stringify({
    created,
    changed,
    title,
    rating: rows[0]?.rating,
    count,
    has_next: typeof next === "string",
    deleted,
    refused: [response.status, error?.status, error?.code],
  }),
);
