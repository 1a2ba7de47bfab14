/** A wrapped secret: prints and serialises as `[redacted]`. `reveal` is for the outgoing header. */
export interface Secret {
  reveal(): string
}

/** A value that does not print: whatever logs or serialises it gets `[redacted]`. */
export function secret(value: string): { reveal(): string; toString(): string; toJSON(): string } {
  return {
    reveal: () => value,
    toString: () => '[redacted]',
    toJSON: () => '[redacted]',
    [Symbol.for('nodejs.util.inspect.custom')]: () => '[redacted]',
  } as { reveal(): string; toString(): string; toJSON(): string }
}
