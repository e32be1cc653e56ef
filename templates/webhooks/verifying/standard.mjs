import { createHmac, timingSafeEqual } from "node:crypto";

/** Say whether a request comes from Wink; body: a Buffer of its raw bytes, not parsed. */
export function verify(secret, headers, body) {
  const timestamp = headers["webhook-timestamp"];
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300)) return false;

  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const signed = `${headers["webhook-id"]}.${timestamp}.`;
  const expected = createHmac("sha256", key).update(signed).update(body).digest();
  return headers["webhook-signature"]
    .split(" ")
    .filter((one) => one.startsWith("v1,"))
    .map((one) => Buffer.from(one.slice(3), "base64"))
    .some((one) => one.length === expected.length && timingSafeEqual(one, expected));
}
