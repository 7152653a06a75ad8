/** An event of a stream, as text/event-stream has it. */
export interface ServerSentEvent {
  type: string;
  data: string;
  lastEventId: string;
}

/** Reads the events of a stream from its bytes. */
export declare class EventParser {
  constructor(lastEventId?: string);
  /** The id that the stream continues after. */
  lastEventId: string;
  /** The last `retry`, in milliseconds. */
  retry: number | null;
  /** Read the next bytes, which may end anywhere; return the events that they complete. */
  push(bytes: Uint8Array): ServerSentEvent[];
}
