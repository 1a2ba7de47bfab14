/**
 * The control, given to `node --import`: what the product would be, in every thread, if somebody
 * thought a sync a commit too slow.
 */
import { DatabaseSync } from 'node:sqlite'

const exec = DatabaseSync.prototype.exec
DatabaseSync.prototype.exec = function (sql: string) {
  return exec.call(this, sql.replace('synchronous = full', 'synchronous = normal'))
}
