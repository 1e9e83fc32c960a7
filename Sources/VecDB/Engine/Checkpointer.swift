import Dispatch
import VecDBBlockStore
import VecDBBytes
import VecDBFiles
import VecDBIndex

/// Decides when a checkpoint is due and runs one at a time: begun on the writer at a batch
/// boundary, written in the background from pinned arrays, finished on the writer.
///
/// A checkpoint never changes the state. Everything here but `CheckpointJob` belongs to the writer.
final class Checkpointer: @unchecked Sendable {
  private(set) var running: CheckpointJob?
  /// The newest manifest on disk; blocks that did not change since are taken from it.
  private(set) var newest: Manifest
  /// Those who copy `records.sqlite`, which must not be checkpointed meanwhile.
  let recordsHolds = RecordsHold.Count()
  private var appliedNanoseconds: UInt64 = 0
  private var appliedLogBytes = 0
  /// What writing the newest one took.
  private var writtenNanoseconds: UInt64 = 0
  /// How many times its own time a checkpoint lets pass, and how many times what is configured that
  /// may be at most. New nodes change links all over the graph, so that each checkpoint of a large
  /// import writes most of it: at a fixed interval the import's cost would grow with its square.
  private static let patience: UInt64 = 4
  let failing = RepeatedFailure("cannot write a checkpoint", level: .error)
  private let uncleaned = RepeatedFailure(
    "cannot remove what a checkpoint has replaced", level: .error)
  private let work = DispatchQueue(label: "vecdb.checkpoint", qos: .utility)
  /// Called from the background when a job is written, to get it finished on the writer.
  private let nudge = Guarded<(@Sendable () -> Void)?>(nil)

  init(newest: Manifest) { self.newest = newest }

  func setNudge(_ body: @escaping @Sendable () -> Void) { nudge.withLock { $0 = body } }

  /// Counts work that a recovery would have to do again.
  func noteApplied(nanoseconds: UInt64, logBytes: Int) {
    appliedNanoseconds += nanoseconds
    appliedLogBytes += logBytes
  }

  func isDue(_ configuration: DatabaseConfiguration) -> Bool {
    let configured =
      UInt64(clamping: min(configuration.checkpointReplayMilliseconds, 1 << 40))
      * 1_000_000
    let limit = max(configured, min(writtenNanoseconds, configured) &* Self.patience)
    return appliedNanoseconds > limit || appliedLogBytes > configuration.checkpointLogBytes
  }

  /// Pins the state and starts writing it. The writer must be between batches and no job running.
  func begin(_ engine: Engine) throws -> CheckpointJob {
    if recordsHolds.isZero { _ = try engine.records.checkpoint() }
    let pinned = PinnedCollection.pinAll(of: engine.state, previous: newest)
    let job = CheckpointJob(
      manifest: try engine.manifestSkeleton(), collections: pinned, blocks: engine.blocks)
    appliedNanoseconds = 0
    appliedLogBytes = 0
    running = job
    let span = engine.tracing.begin("checkpoint")
    work.async { [self] in
      job.write()
      span?.note(job)
      span?.end()
      nudge.withLock { $0 }?()
    }
    return job
  }

  /// Takes up the outcome of the running job if it is written; with `waiting`, waits for it.
  func finish(_ engine: Engine, waiting: Bool) {
    guard let job = running, let outcome = job.outcome(waiting: waiting) else { return }
    running = nil
    switch outcome {
    case .success(let done):
      newest = done.pin.manifest
      writtenNanoseconds = UInt64(max(0, done.report.seconds) * 1e9)
      engine.telemetry.wrote(done.report)
      engine.publishFigures()
      failing.isOver(engine.configuration.logger)
      engine.configuration.logger.debug(
        "wrote a checkpoint",
        metadata: [
          "lsn": "\(done.report.lsn)", "blocks": "\(done.report.blocksWritten)",
          "bytes": "\(done.report.bytesWritten)", "seconds": "\(done.report.seconds)",
        ])
      do { try engine.removeWhatIsNotNeeded() } catch {
        return uncleaned.note(error, engine.configuration.logger)
      }
      uncleaned.isOver(engine.configuration.logger)
    case .failure(let error):
      // The blocks are dirty again; the next one that is due tries anew.
      engine.telemetry.failedCheckpoint()
      failing.note(error, engine.configuration.logger)
    }
  }
}
