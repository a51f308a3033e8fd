// Makes MongoDB's user of each service, with rights to that service's own collections; run again, it sets passwords and
// rights anew. The passwords are in the environment:
//   MONGO_AUTH_PASSWORD=… MONGO_JOBS_PASSWORD=… MONGO_COUNTER_PASSWORD=… mongosh "$ROOT_URL" mongo.js
// With MONGO_PASSWORD it signs in as "admin" first, so that no password need stand in the URL.
const collections = {
  auth: ["deleted_users", "keys", "tokens", "users"],
  jobs: ["jobs"],
  counter: ["counter_change", "idempotency_key", "incremental_counter"],
};
const actions = ["find", "insert", "update", "remove", "createIndex"];

const admin = db.getSiblingDB("admin");
if (process.env.MONGO_PASSWORD) admin.auth("admin", process.env.MONGO_PASSWORD);

for (const [service, own] of Object.entries(collections)) {
  const variable = `MONGO_${service.toUpperCase()}_PASSWORD`;
  const pwd = process.env[variable];
  if (!pwd) throw new Error(`${variable} is not set.`);

  const role = `increment-${service}`;
  const rights = { privileges: own.map((collection) => ({ resource: { db: "increment", collection }, actions })), roles: [] };
  if (admin.getRole(role)) admin.updateRole(role, rights);
  else admin.createRole({ role, ...rights });

  const user = { pwd, roles: [{ role, db: "admin" }] };
  if (admin.getUser(service)) admin.updateUser(service, user);
  else admin.createUser({ user: service, ...user });
}
