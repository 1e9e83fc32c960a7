import VecDBBytes

/// Something that works beside a database in the background.
protocol Companion: AnyObject, Sendable {
  /// Lets go of the database without waiting for what is under way.
  func abandon()
}

/// What works beside a database, at most one of each kind. Each room keeps its own here, so that the
/// rooms below need not know it.
final class Companions: Sendable {
  private let all = Guarded<[any Companion]>([])

  func find<Kind: Companion>(_ kind: Kind.Type) -> Kind? {
    all.withLock { $0.lazy.compactMap { $0 as? Kind }.first }
  }

  /// The one of its kind; made if there is none.
  func find<Kind: Companion>(orMake make: () -> Kind) -> Kind {
    all.withLock { all in
      if let found = all.lazy.compactMap({ $0 as? Kind }).first { return found }
      let made = make()
      all.append(made)
      return made
    }
  }

  func add(_ companion: some Companion) { all.withLock { $0.append(companion) } }

  /// Gives one away, for its end.
  func remove<Kind: Companion>(_ kind: Kind.Type) -> Kind? {
    all.withLock { all in
      guard let place = all.firstIndex(where: { $0 is Kind }) else { return nil }
      return all.remove(at: place) as? Kind
    }
  }

  /// Abandons all, in the order in which they came.
  func abandon() {
    let abandoned = all.withLock { all in
      defer { all = [] }
      return all
    }
    for companion in abandoned { companion.abandon() }
  }
}
