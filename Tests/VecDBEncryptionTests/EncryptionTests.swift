import VecDB
