import { createHmac, timingSafeEqual } from "node:crypto";

/** Say whether the request comes from Wink. `body`: a Buffer of the raw bytes, before any parsing. */
export function verify(secret, headers, body) {
  const timestamp = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300)) {
    return false;
  }
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(`${headers["webhook-id"]}.${timestamp}.`).update(body).digest();
  return headers["webhook-signature"].split(" ").some((one) => {
    const [version, value] = one.split(",");
    const signature = Buffer.from(value, "base64");
    return version === "v1" && signature.length === expected.length && timingSafeEqual(signature, expected);
  });
}
