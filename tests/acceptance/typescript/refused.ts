// What must not compile. `tsc` fails on each line that is marked and has no fault.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.ts";

type TestCreate = components["schemas"]["test_create"];

const client = createClient<paths>({ baseUrl: "" });

export async function refused(row: components["schemas"]["test_row"]) {
  // openapi-fetch alone lets what is too much pass (its issue 2329): `satisfies` does not.
  // @ts-expect-error: a column that the table does not have
  await client.POST("/my/rows/test", { body: { titel: "x" } satisfies TestCreate });
  // @ts-expect-error: a value of the wrong type
  await client.POST("/my/rows/test", { body: { rating: "high" } });
  // @ts-expect-error: a column that the server keeps
  const kept = { title: "x", created_by_id: 1 } satisfies TestCreate;
  // @ts-expect-error: a mandatory column is missing
  await client.POST("/my/rows/message", { body: { description: "x" } });
  // @ts-expect-error: nobody says which row
  await client.PUT("/my/rows/test", { body: { title: "x" } });
  // @ts-expect-error: a filter on a column that the table does not have
  await client.GET("/my/rows/test", { params: { query: { titel: ["=,x"] } } });
  // @ts-expect-error: a table that is not there
  await client.GET("/my/rows/tests", {});
  // @ts-expect-error: a table that users do not write
  await client.POST("/my/rows/users", { body: { username: "x" } });
  // @ts-expect-error: a table that is not open to the public
  await client.GET("/public/rows/message", {});
  // @ts-expect-error: a place is longitude and latitude
  await client.POST("/my/rows/test", { body: { location: { type: "Point" } } });
  // @ts-expect-error: a row has no such column
  const typo: unknown = row.titel;
  // @ts-expect-error: a column may be null
  const title: string = row.title;
  return [kept, typo, title];
}
