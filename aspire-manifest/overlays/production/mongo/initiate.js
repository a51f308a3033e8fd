// Makes the replica set and its users, once. Every member runs it at its start, beside mongod: until there is a user,
// MongoDB lets in who comes from localhost, and no one else. Ends when the users are there; run again, it changes nothing.
const { MONGO_PASSWORD, MONGO_INCREMENT_PASSWORD, HOSTNAME } = process.env;
const members = [0, 1, 2].map((i) => ({ _id: i, host: `mongo-${i}.mongo:27017` }));

function signedIn() {
  try {
    return db.getSiblingDB("admin").auth("admin", MONGO_PASSWORD).ok === 1;
  } catch {
    return false;
  }
}

while (!signedIn()) {
  try {
    const hello = db.hello();
    if (!hello.setName && HOSTNAME === "mongo-0") {
      rs.initiate({ _id: "rs0", members }); // refused until all three answer
    } else if (hello.isWritablePrimary) {
      db.getSiblingDB("admin").createUser({ user: "admin", pwd: MONGO_PASSWORD, roles: ["root"] });
    }
  } catch (e) {
    print(`not yet: ${e.message}`);
  }
  sleep(2000);
}

if (db.hello().isWritablePrimary && !db.getSiblingDB("increment").getUser("increment")) {
  db.getSiblingDB("increment").createUser({
    user: "increment",
    pwd: MONGO_INCREMENT_PASSWORD,
    roles: [{ role: "readWrite", db: "increment" }],
  });
}
