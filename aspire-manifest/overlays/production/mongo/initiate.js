// Makes the replica set and its users, once. Every member runs it at its start, beside mongod: until there is a user,
// MongoDB lets in who comes from localhost, and no one else. Ends when the users are there; run again, it changes nothing.
const { MONGO_PASSWORD, MONGO_INCREMENT_PASSWORD, HOSTNAME } = process.env;
const members = [0, 1, 2].map((i) => ({ _id: i, host: `mongo-${i}.mongo:27017` }));
const admin = db.getSiblingDB("admin");
const increment = db.getSiblingDB("increment");

function signedIn() {
  try {
    return admin.auth("admin", MONGO_PASSWORD).ok === 1;
  } catch {
    return false;
  }
}

for (let done = false; !done; ) {
  try {
    const hello = db.hello();
    if (!hello.setName) {
      if (HOSTNAME === "mongo-0") rs.initiate({ _id: "rs0", members }); // refused until all three answer
    } else if (!signedIn()) {
      if (hello.isWritablePrimary) admin.createUser({ user: "admin", pwd: MONGO_PASSWORD, roles: ["root"] });
    } else if (increment.getUser("increment")) {
      done = true;
    } else if (hello.isWritablePrimary) {
      increment.createUser({ user: "increment", pwd: MONGO_INCREMENT_PASSWORD, roles: [{ role: "readWrite", db: "increment" }] });
    }
  } catch (e) {
    print(`not yet: ${e.message}`);
  }
  if (!done) sleep(2000);
}
