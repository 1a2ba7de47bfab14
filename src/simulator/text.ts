/** Words that are the same for the same seed, model and prompt. */
const words = (
  'the a of to and in is that for it as was with be by on not he his but at are this have ' +
  'from or had an they which one you were all her she there would their we him been has when who ' +
  'will no more if out so up said what its about than into them can only other time new some could ' +
  'these two may first then do any like my now over such our man me even most made after also well'
).split(' ')

export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** About one word a token. */
export function wordsFor(seed: number, count: number): readonly string[] {
  let state = seed
  return Array.from({ length: Math.max(1, count) }, (_, i) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (i === 0 ? '' : ' ') + (words[state % words.length] ?? 'the')
  })
}

/** `words` in `count` runs of nearly equal length; never more runs than there are words. */
export function inChunks(all: readonly string[], count: number): readonly string[] {
  const runs = Math.max(1, count)
  return Array.from({ length: runs }, (_, i) => {
    const from = Math.floor((i * all.length) / runs)
    const to = Math.floor(((i + 1) * all.length) / runs)
    return all.slice(from, to).join('')
  })
}
