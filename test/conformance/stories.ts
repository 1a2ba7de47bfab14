/**
 * Ledger stories, one step a line: `<seconds> <command> -> <outcome>`. Balances read
 * posted/pending, in nano-dollars, calls or tokens. Unless said otherwise a limit is 100. Written
 * to be read by someone who has never seen the code.
 */
export const stories: Readonly<Record<string, string>> = {
  'a hold is settled for less and the rest comes back': `
     0 hold   A 60 team,org -> applied
     1 balance team         -> 0/60
     2 settle A 45          -> applied
     3 balance team         -> 45/0
     3 balance org          -> 45/0`,
  'a hold is admitted on every account or on none': `
     0 hold   A 90 org      -> applied
     1 hold   B 20 team,org -> held org
     2 balance team         -> none
     2 balance org          -> 0/90`,
  'the last nano-dollar fits, one more does not': `
     0 hold   A 100 team    -> applied
     1 settle A 99          -> applied
     2 hold   B 2 team      -> exceeded team
     3 hold   C 1 team      -> applied
     4 balance team         -> 99/1`,
  'room that calls in flight hold may come back; what is posted does not': `
     0 hold   A 60 team     -> applied
     1 hold   B 60 team     -> held team
     2 settle A 60          -> applied
     3 hold   B 60 team     -> exceeded team`,
  'a hold ends once; a retry is harmless, a change of mind is not': `
     0 hold   A 60 team     -> applied
     0 hold   A 60 team     -> repeated
     1 settle A 60          -> applied
     2 settle A 60          -> repeated
     2 settle A 59          -> conflicting_repeat
     3 void   A             -> hold_already_resolved
     3 expire A             -> hold_already_resolved
     4 balance team         -> 60/0`,
  'a void gives everything back': `
     0 hold   A 60 team,calls -> applied
     1 void   A             -> applied
     1 void   A             -> repeated
     2 settle A 60          -> hold_already_resolved
     3 balance team         -> 0/0
     3 balance calls        -> 0/0`,
  'an orphan is presumed spent, never free': `
     0 hold   A 60 team     -> applied
    59 overdue              ->
    60 overdue              -> A
    61 expire A             -> applied
    61 expire A             -> repeated
    62 balance team         -> 60/0
    62 state A              -> expired presumed 60`,
  'the truth corrects what was presumed': `
     0 hold   A 60 team     -> applied
    61 expire A             -> applied
    62 settle A 45          -> applied
    63 balance team         -> 45/0
    63 state A              -> settled actual 45
    64 settle A 45          -> repeated`,
  'the bill corrects what was presumed, upwards too': `
     0 hold   A 60 team     -> applied
     1 presume A 60         -> applied
     2 adjust A 70          -> applied
     2 adjust A 70          -> repeated
     3 balance team         -> 70/0`,
  'a bill may show that a voided call was charged after all': `
     0 hold   A 60 team     -> applied
     1 void   A             -> applied
     2 adjust A 30          -> applied
     3 balance team         -> 30/0
     3 state A              -> settled actual 30`,
  'a call in flight cannot be adjusted': `
     0 hold   A 60 team     -> applied
     1 adjust A 30          -> hold_already_resolved
     2 balance team         -> 0/60`,
  'what nobody held cannot end': `
     0 settle A 1           -> hold_not_found
     0 void   A             -> hold_not_found
     0 expire A             -> hold_not_found
     0 adjust A 1           -> hold_not_found`,
  'an overage is posted, told, and blocks the next hold': `
     0 hold   A 90 team     -> applied
     1 settle A 130         -> applied
     2 balance team         -> 130/0
     3 hold   B 1 team      -> exceeded team
     4 alerts               -> team:1.0 team:overage`,
  'zero denies': `
     0 hold   A 1 deny      -> exceeded deny
     1 hold   B 0 deny      -> applied
     2 alerts               ->`,
  'a budget that observes counts and never stops': `
     0 hold   A 900 watch   -> applied
     1 settle A 900         -> applied
     2 hold   B 900 watch   -> applied
     3 balance watch        -> 900/900
     3 alerts               -> watch:1.0`,
  'the cap is fitted to the room': `
     0 hold   A 30 team     -> applied
     1 clamp  B 500 team    -> applied 60
     2 balance team         -> 0/100`,
  'a cap that fits is left alone': `
     0 clamp  A 50 team     -> applied 50
     1 balance team         -> 0/60`,
  'no cap below the floor': `
     0 hold   A 75 team     -> applied
     1 clamp  B 500 team    -> held team
     2 settle A 75          -> applied
     3 clamp  B 500 team    -> exceeded team`,
  'a caller who asks for less than the floor gets it': `
     0 hold   A 85 team     -> applied
     1 clamp  B 5 team      -> applied 5`,
  'the tightest account decides the cap': `
     0 hold   A 40 team     -> applied
     0 hold   B 20 org      -> applied
     1 clamp  C 500 team,org -> applied 50
     2 balance org          -> 0/80`,
  'tokens clamp as money does': `
     0 hold   A 900 tokens  -> applied
     1 clamp  B 500 tokens  -> applied 90
     2 balance tokens       -> 0/1000
     3 settle B 10 40       -> applied
     4 balance tokens       -> 40/900`,
  'alerts fire when posted, not when held': `
     0 hold   A 60 ladder   -> applied
     1 alerts               ->
     2 settle A 60          -> applied
     3 alerts               -> ladder:0.5`,
  'each threshold fires once': `
     0 hold   A 60 ladder   -> applied
     1 settle A 60          -> applied
     2 hold   B 10 ladder   -> applied
     3 settle B 10          -> applied
     4 hold   C 20 ladder   -> applied
     5 settle C 20          -> applied
     6 alerts               -> ladder:0.5 ladder:0.8`,
  'one call may cross several thresholds': `
     0 hold   A 110 ladder  -> applied
     1 settle A 110         -> applied
     2 alerts               -> ladder:0.5 ladder:0.8`,
  'the stop is told when it first refuses': `
     0 hold   A 115 ladder  -> applied
     1 settle A 115         -> applied
     2 hold   B 10 ladder   -> exceeded ladder
     3 hold   C 10 ladder   -> exceeded ladder
     4 alerts               -> ladder:0.5 ladder:0.8 ladder:1.2`,
  'a call too big for a fresh budget is no stop': `
     0 hold   A 500 ladder  -> exceeded ladder
     1 alerts               ->`,
  'the next period is another account, and fires anew': `
     0     hold   A 60 ladder -> applied
     1     settle A 60      -> applied
     86400 hold   B 60 ladder -> applied
     86401 settle B 60      -> applied
     86402 balance ladder   -> 60/0
     86402 alerts           -> ladder:0.5 ladder:0.5`,
  'a call belongs to the period of its hold': `
     3590 hold   A 60 hourly -> applied
     3610 settle A 50       -> applied
     3610 balance hourly    -> none
     3590 balance hourly    -> 50/0`,
  'a raised limit arms the stages above again': `
     0 hold   A 85 ladder   -> applied
     1 settle A 85          -> applied
     2 limit  ladder 200    -> done
     3 hold   B 20 ladder   -> applied
     4 settle B 20          -> applied
     5 alerts               -> ladder:0.5 ladder:0.8 ladder:0.5
     6 balance ladder       -> 105/0`,
  'a lowered limit never zeroes what is spent': `
     0 hold   A 60 team     -> applied
     1 settle A 60          -> applied
     2 limit  team 50       -> done
     3 hold   B 1 team      -> exceeded team
     4 balance team         -> 60/0`,
  'a lowered limit kills no running call': `
     0 hold   A 60 team     -> applied
     1 limit  team 50       -> done
     2 settle A 55          -> applied
     3 balance team         -> 55/0`,
  'a pace once crossed: half of the hour before, evenly': `
     0 hold   A 10 paced    -> applied
     1 settle A 10          -> applied
     2 hold   B 1 paced     -> wait 119
   120 hold   B 1 paced     -> wait 1
   121 hold   B 1 paced     -> applied
   122 hold   C 1 paced     -> wait 119
   500 hold   C 1 paced     -> applied
   501 hold   D 1 paced     -> wait 119`,
  'who has no room is not told to wait for a slot': `
     0 hold   A 10 paced    -> applied
     1 settle A 10          -> applied
     2 hold   B 981 paced   -> exceeded paced
     3 hold   C 1 paced     -> wait 118`,
  'an override lifts the pace while it lasts': `
     0 hold   A 10 paced    -> applied
     1 settle A 10          -> applied
     2 override paced 5 100 -> done
     3 hold   B 1 paced     -> applied
     4 hold   C 1 paced     -> applied
   103 hold   D 1 paced     -> wait 18`,
  'an override adds to the hard limit until it is used up': `
     0 hold   A 100 team    -> applied
     1 settle A 100         -> applied
     2 override team 30 600 -> done
     3 hold   B 20 team     -> applied
     4 hold   C 20 team     -> held team
     5 settle B 20          -> applied
     6 hold   C 20 team     -> exceeded team
     7 hold   D 10 team     -> applied`,
  'an override ends by itself': `
     0 hold   A 100 team    -> applied
     1 settle A 100         -> applied
     2 override team 30 10  -> done
    11 hold   B 5 team      -> applied
    12 hold   C 5 team      -> exceeded team
    13 balance team         -> 100/5`,
  'an override without an amount lifts the limit for a while': `
     0 hold   A 100 team    -> applied
     1 settle A 100         -> applied
     2 override team all 10 -> done
     3 hold   B 500 team    -> applied
    12 hold   C 1 team      -> exceeded team`,
  'each user has an account; nobody in particular has one too': `
     0 hold   A 90 user ann -> applied
     1 hold   B 90 user bob -> applied
     2 hold   C 20 user ann -> held user
     3 hold   D 90 user     -> applied
     4 balance user/ann     -> 0/90
     4 balance user/bob     -> 0/90
     4 balance user/(none)  -> 0/90`,
  'calls are counted once each': `
     0 hold   A 1 calls     -> applied
     1 settle A 1           -> applied
     2 hold   B 1 calls     -> applied
     3 hold   C 1 calls     -> applied
     4 hold   D 1 calls     -> held calls
     5 settle B 1           -> applied
     6 settle C 1           -> applied
     7 hold   D 1 calls     -> exceeded calls
     8 balance calls        -> 3/0`,
  'a conversation counts once, with its first call, whatever becomes of that': `
     0 hold   A 1 chats - one -> applied
     1 hold   B 1 chats - one -> applied
     2 balance chats        -> 0/1
     3 settle A 1           -> applied
     4 void   B             -> applied
     5 hold   C 1 chats - two -> applied
     6 hold   D 1 chats - three -> exceeded chats
     7 void   C             -> applied
     8 hold   D 1 chats - three -> exceeded chats
     9 hold   E 1 chats - two -> applied
    10 balance chats        -> 2/0
 86410 hold   F 1 chats - three -> applied
 86410 balance chats        -> 0/1`,
  'a limit of conversations added later counts those that were, once each': `
     0 hold   A 1 team - one -> applied
     1 settle A 1           -> applied
     2 hold   B 1 team - one -> applied
     3 hold   C 1 team - two -> applied
     4 limit  chats-late 3  -> done
     5 balance chats-late   -> 1/1
     6 settle B 1           -> applied
     7 settle C 1           -> applied
     8 balance chats-late   -> 2/0
     9 hold   D 1 chats-late - two -> applied
    10 hold   E 1 chats-late - three -> applied
    11 hold   F 1 chats-late - four -> exceeded chats-late
    12 late   chats-late 0  -> done
    13 balance chats-late   -> 2/1`,
  'calls in flight are counted while they are in flight': `
     0 hold   A 1 busy      -> applied
     1 hold   B 1 busy      -> applied
     2 hold   C 1 busy      -> held busy
     3 settle A 1           -> applied
     4 hold   C 1 busy      -> applied
     5 balance busy         -> 0/2`,
  'a budget added later is counted from the ledger': `
     0 hold   A 60 team     -> applied
     1 settle A 45          -> applied
     2 limit  late 100      -> done
     3 balance late         -> 45/0
     4 hold   B 60 late     -> exceeded late`,
  'a budget added while a call is in flight counts it, and its end': `
     0 hold   A 60 team     -> applied
     1 limit  late 100      -> done
     2 balance late         -> 0/60
     3 settle A 45          -> applied
     4 balance late         -> 45/0`,
  'two budgets added in one change both count a call, and hear its end': `
     0 hold   A 60 team     -> applied
     1 limit  late+later 100 -> done
     2 balance late         -> 0/60
     3 balance later        -> 0/60
     4 settle A 45          -> applied
     5 balance late         -> 45/0
     6 balance later        -> 45/0`,
  'a voided call is not counted into a new budget': `
     0 hold   A 60 team     -> applied
     1 void   A             -> applied
     2 limit  late 100      -> done
     3 balance late         -> none`,
  'a correction reaches a budget that was added later': `
     0 hold   A 60 team     -> applied
     1 presume A 60         -> applied
     2 limit  late 100      -> done
     3 adjust A 40          -> applied
     4 balance late         -> 40/0`,
  'a budget that comes back has missed nothing': `
     0 hold   A 30 team     -> applied
     1 settle A 30          -> applied
     2 remove team          -> done
     3 hold   B 20 org      -> applied
     4 settle B 20          -> applied
     5 limit  team 100      -> done
     6 balance team         -> 50/0`,
  'ends reach the account of a budget that is gone': `
     0 hold   A 30 team     -> applied
     1 remove team          -> done
     2 settle A 25          -> applied
     3 balance team         -> 25/0`,
  'a call on its way while a budget is added is counted behind it, once': `
     0 hold   A 60 team     -> applied
     1 limit  fresh 100     -> done
     2 hold   B 30 team     -> applied
     2 hold   C 10 team     -> applied
     3 settle C 7           -> applied
     3 balance fresh        -> 0/60
     4 late   fresh 1       -> done
     4 balance fresh        -> 7/90
     5 late   fresh 1       -> done
     5 balance fresh        -> 7/90
     6 settle B 20          -> applied
     6 balance fresh        -> 27/60`,
}
