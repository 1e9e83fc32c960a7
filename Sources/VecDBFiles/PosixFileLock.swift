import Glibc
import VecDBBytes

/// An advisory whole-file lock (`flock`) with the text of its owner in the file.
///
/// `flock` belongs to the open file, so a second attempt fails also within one process, and the
/// kernel drops it when the process ends, however it ends.
final class PosixFileLock: FileLock {
  private let file: Guarded<PosixFile?>

  init(holding file: PosixFile) { self.file = Guarded(file) }

  deinit { unlock() }

  /// Empties the file, so that no stale owner is named, and releases the lock. Later calls do
  /// nothing.
  func unlock() {
    file.withLock { held in
      guard let file = held else { return }
      // An owner's name that stays behind is harmless: only a held lock is ever reported.
      _ = ftruncate(file.descriptor, 0)
      _ = flock(file.descriptor, LOCK_UN)
      held = nil
    }
  }
}
