import { createHmac, timingSafeEqual } from "node:crypto";

/** Say whether the request comes from Wink. `body`: a Buffer of the raw bytes, before any parsing. */
export function verify(secret, headers, body) {
  const parts = headers["wink-signature"].split(",").map((part) => part.split("="));
  const timestamp = parts.find(([name]) => name === "t")[1];
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300)) {
    return false;
  }
  const expected = createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest();
  return parts.some(([name, value]) => {
    const signature = Buffer.from(value, "hex");
    return name === "v1" && signature.length === expected.length && timingSafeEqual(signature, expected);
  });
}
