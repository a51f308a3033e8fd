// Creates a MongoDB user for each service, with rights to the service's collections. A second run sets the passwords and
// rights again. The passwords are in the environment:
//   MONGO_AUTH_PASSWORD=… MONGO_JOBS_PASSWORD=… MONGO_COUNTER_PASSWORD=… mongosh "$ROOT_URL" mongo.js
// If MONGO_PASSWORD is set, the script signs in as "admin" first, so the URL needs no password.
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
