import { endSourcesChunk } from './end-sources.ts'
import { restOfInboxChunk } from './rest-of-inbox.ts'
import type { FanOutKinds } from './run.ts'
import { showAnewChunk } from './show-anew.ts'

/** The kinds of fan-outs that only concern inboxes. */
export const inboxFanOuts: FanOutKinds = {
  end_sources: endSourcesChunk,
  show_post: showAnewChunk('post'),
  show_comment: showAnewChunk('comment'),
  read_inbox: restOfInboxChunk,
  archive_inbox: restOfInboxChunk,
  delete_inbox: restOfInboxChunk,
  see_inbox: restOfInboxChunk,
}
