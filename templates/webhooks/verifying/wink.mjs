import { createHmac, timingSafeEqual } from "node:crypto";

/** Say whether a request comes from Wink; body: a Buffer of its raw bytes, not parsed. */
export function verify(secret, headers, body) {
  const parts = headers["wink-signature"].split(",").map((part) => part.split("="));
  const timestamp = parts.find(([name]) => name === "t")[1];
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300)) return false;

  const hmac = createHmac("sha256", secret).update(`${timestamp}.`).update(body);
  const expected = hmac.digest();
  return parts
    .filter(([name]) => name === "v1")
    .map(([, value]) => Buffer.from(value, "hex"))
    .some((one) => one.length === expected.length && timingSafeEqual(one, expected));
}
