/** A wrapped secret: prints and serialises as `[redacted]`. `reveal` is for the outgoing header. */
export interface Secret {
  reveal(): string
}
