import VecDBBytes
import VecDBIndex

/// For tests and drills: rebuilds in small steps, and candidates to look into.
extension Database {
  /// Does the next step of every rebuild; false if none is under way. Only with
  /// `DatabaseConfiguration.rebuildsInBackground` off.
  package func stepRebuilds() -> Bool { rebuilds.stepAll() }

  /// Applies the policy now.
  package func adviseRebuilds() { rebuilds.advise() }
}

extension VectorCollection {
  /// The generation that does not serve, as far as it is; nil if there is none.
  package var otherGeneration: IndexGeneration? { runtime.rebuilds.withLock { $0.other }?.index }

  /// Puts another index in the place of a candidate.
  package func replaceCandidate(with index: IndexGeneration) {
    runtime.rebuilds.withLock { rebuilds in
      guard let other = rebuilds.other, rebuilds.state?.phase == .building else { return }
      rebuilds.other = Generation(number: other.number, options: other.options, index: index)
    }
  }
}
