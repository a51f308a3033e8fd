// Creates the replica set and its administrator once. Every member runs this script together with mongod when it starts, because
// MongoDB lets only localhost create the first user. The script ends when the user exists. A second run changes nothing.
const { MONGO_PASSWORD, HOSTNAME } = process.env;
const members = [0, 1, 2].map((i) => ({ _id: i, host: `mongo-${i}.mongo:27017` }));
const admin = db.getSiblingDB("admin");

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
      if (HOSTNAME === "mongo-0") rs.initiate({ _id: "rs0", members }); // fails until all three members answer
    } else if (signedIn()) {
      done = true;
    } else if (hello.isWritablePrimary) {
      admin.createUser({ user: "admin", pwd: MONGO_PASSWORD, roles: ["root"] });
    }
  } catch (e) {
    print(`not yet: ${e.message}`);
  }
  if (!done) sleep(2000);
}
