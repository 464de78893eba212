import { Actions } from '../notify/actions.ts'
import { comment } from './comments/event.ts'
import { follow } from './follows/event.ts'
import { like } from './likes/event.ts'
import { post } from './posts/event.ts'

export const actions = new Actions([like, follow, comment, post])
